"""Sessions by the hundred thousand, as 90 days of a call centre leave them. Seeded.

Shares: 1 session in 20 is flagged and most of those ask for a handoff; 6 of 10 flagged ones are
reviewed, half of them within 4 hours. Flagged sessions have the events of a whole call; the calm
ones only their first and last, so that the database is not gigabytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from voiceguard.core import events as core
from voiceguard.core.events import AlertLevel
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import canonical_json, commitment_of
from voiceguard.store.database import Database
from voiceguard.store.eventcodec import event_to_line
from voiceguard.store.projection import Projection
from voiceguard.store.records import (
    Accessed,
    Closed,
    Columns,
    Erased,
    EventBatch,
    HandoffColumns,
    HoldSet,
    Noted,
    Opened,
    Record,
    SettlementColumns,
    VerdictGiven,
)


class Sealer(Protocol):
    """Seals payloads, so that a server can open them."""

    def key(self, uid: str) -> tuple[str, str]:
        """Return a session's wrapped key and the id of the master key, by evidence id."""
        ...

    def seal(self, uid: str, number: int, salt: bytes, payload: bytes) -> bytes:
        """Return what is stored of the payload of a session's leaf of this number."""
        ...

    def customer(self, tenant: str, number: int) -> str:
        """Return the pseudonym of one of a tenant's customers, 0 to CUSTOMERS - 1."""
        ...


TENANTS: Final = {"acme": 0.9, "borealis": 0.07, "cygnus": 0.03}
"""Share of the sessions by tenant."""
CAMPAIGNS: Final = 40
AGENTS: Final = 300
CUSTOMERS: Final = 30_000
END_MS: Final = 1_795_500_000_000
"""When the newest session began, 2026-11-24, unless something else is asked for."""
SPAN_DAYS: Final = 90

_DAY_MS: Final = 86_400_000
_RATE_HZ: Final = 8000
_BATCH_SESSIONS: Final = 1000
_SEALING_BYTES: Final = 12 + 32 + 16
"""Nonce, salt and tag."""
_LEVELS: Final = ((85.0, AlertLevel.RED), (60.0, AlertLevel.ORANGE), (40.0, AlertLevel.YELLOW))
_VERDICTS: Final = {"confirmed": 0.7, "false_alarm": 0.22, "unsure": 0.08}
_OUTCOMES: Final = {"accepted": 0.5, "transferred": 0.2, "declined": 0.2, "expired": 0.1}
_ENDED: Final = {"completed": 0.96, "abandoned": 0.03, "failed": 0.01}


def fill(
    database: Database,
    origin: str,
    sessions: int,
    seed: int,
    on_progress: Callable[[int], None] = lambda _: None,
    seal: Sealer | None = None,
    end_ms: int = END_MS,
) -> int:
    """Fill a database with sessions; return how many leaves their evidence log would have.

    Args:
        database: with nothing of this log in it.
        origin: of the log.
        sessions: how many.
        seed: the same one gives the same sessions.
        on_progress: called with the number of sessions there are so far.
        seal: None: random bytes of the same length stand for payloads, and keys are made up.
        end_ms: when the newest session began.
    """
    projection = Projection(database, origin)
    leaves = done = 0
    for batch in generate(sessions, seed, seal, end_ms):
        projection.apply(batch)
        leaves += len(batch)
        done = min(done + _BATCH_SESSIONS, sessions)
        on_progress(done)
    return leaves


def generate(
    sessions: int,
    seed: int,
    seal: Sealer | None = None,
    end_ms: int = END_MS,
) -> Iterator[list[Record]]:
    """Yield the records of `fill` in batches, from leaf 0 on."""
    writer = _Writer(random.Random(seed), seal)  # noqa: S311 - no secret is made of it
    begin_ms, span_ms = end_ms - SPAN_DAYS * _DAY_MS, SPAN_DAYS * _DAY_MS
    for index in range(sessions):
        opened_at_ms = begin_ms + round(span_ms * (index + 1) / sessions)
        writer.write_session(index, opened_at_ms, live=index >= sessions - 5)
        if (index + 1) % _BATCH_SESSIONS == 0 or index + 1 == sessions:
            yield writer.take()


@dataclass(slots=True)
class _Writer:
    """Makes records of sessions, one session after the other."""

    rng: random.Random
    sealer: Sealer | None
    _index: int = 0
    _number: int = 0
    _batch: list[Record] = field(default_factory=list)

    def take(self) -> list[Record]:
        """Return the records made since the last call."""
        batch, self._batch = self._batch, []
        return batch

    def write_session(self, index: int, opened_at_ms: int, *, live: bool) -> None:
        """Make the records of one session, erasure and reviews included."""
        call = _Call.invent(self.rng, index, opened_at_ms)
        self._number = 0
        wrapped = self.sealer.key(call.uid) if self.sealer else ("d3JhcHBlZC1rZXk=" * 5, "k1")
        opened = call.opened(self.rng, *wrapped, customer=self._customer)
        self._add(call.uid, LeafKind.OPENED, opened, opened_at_ms, _session_json(call.uid, opened))
        batch, lines = call.events(self.rng)
        self._add(call.uid, LeafKind.EVENTS, batch, call.closed_at_ms, lines)
        if live:
            return
        closed = call.closed(self.rng, batch)
        payload = canonical_json({"ended": closed.ended, "events": closed.events})
        self._add(call.uid, LeafKind.CLOSED, closed, call.closed_at_ms, payload)
        self._write_review(call, batch)

    def _customer(self, tenant: str, number: int) -> str:
        return self.sealer.customer(tenant, number) if self.sealer else f"{number:064x}"

    def _write_review(self, call: _Call, batch: EventBatch) -> None:
        rng, uid, at_ms = self.rng, call.uid, call.closed_at_ms
        if rng.random() < (0.6 if call.flagged else 0.01):
            at_ms += round(rng.lognormvariate(9.6, 1.2) * 1000)  # median 4 h
            self._add(uid, LeafKind.ACCESSED, Accessed("rita", "viewed", at_ms, ""), at_ms, b"{}\n")
            about = batch.handoffs[0].handoff_id if batch.handoffs and rng.random() < 0.5 else ""
            kind = _pick(rng, _VERDICTS)
            verdict = VerdictGiven(rng.randbytes(8).hex(), about, kind, "rita", at_ms)
            comment = {"comment": "Customer raised his voice. " * rng.randint(0, 6)}
            self._add(uid, LeafKind.VERDICT, verdict, at_ms, canonical_json(comment) + b"\n")
        fate = rng.random()
        if fate < 0.001:
            hold = HoldSet(True, "carl", "case 2026-17", at_ms)
            self._add(uid, LeafKind.HELD, hold, at_ms, b"{}\n")
        elif fate < 0.005:
            erased = Erased("request", "carl", "asked for by letter", at_ms)
            self._add(uid, LeafKind.ERASED, erased, at_ms, b"")

    def _add(self, uid: str, kind: LeafKind, columns: Columns, at_ms: int, payload: bytes) -> None:
        assert not isinstance(columns, Noted)  # noqa: S101 - none is made here
        sealed, commitment = b"", ""
        if payload:
            salt = self.rng.randbytes(32)
            commitment = commitment_of(salt, payload)
            sealed = (
                self.sealer.seal(uid, self._number, salt, payload)
                if self.sealer
                else self.rng.randbytes(len(payload) + _SEALING_BYTES)
            )
        leaf = Leaf(kind, at_ms, uid, self._number, commitment, _facts(columns, self._number))
        self._batch.append(Record(self._index, leaf, columns, sealed))
        self._index += 1
        self._number += 1


@dataclass(frozen=True, slots=True)
class _Call:
    """What is made up of a call first, and the rest follows from."""

    uid: str
    index: int
    opened_at_ms: int
    length_s: float
    peak: float
    flagged: bool

    @classmethod
    def invent(cls, rng: random.Random, index: int, opened_at_ms: int) -> _Call:
        flagged = rng.random() < 0.05
        return cls(
            uid=rng.randbytes(16).hex(),
            index=index,
            opened_at_ms=opened_at_ms,
            length_s=round(min(20 + rng.expovariate(1 / 90), 900), 2),
            peak=round(rng.uniform(60, 100) if flagged else 70 * rng.betavariate(1.5, 4), 3),
            flagged=flagged,
        )

    @property
    def closed_at_ms(self) -> int:
        return self.opened_at_ms + round(self.length_s * 1000)

    @property
    def level(self) -> AlertLevel:
        return next((level for least, level in _LEVELS if self.peak >= least), AlertLevel.GREEN)

    @property
    def flag_s(self) -> float:
        """On the audio clock."""
        return round(self.length_s * 0.6, 2)

    def opened(
        self,
        rng: random.Random,
        wrapped_key: str,
        key_id: str,
        customer: Callable[[str, int], str],
    ) -> Opened:
        tenant = _pick(rng, TENANTS)
        return Opened(
            tenant=tenant,
            session_id=f"session-{self.index}",
            call_id=f"call-{self.index}",
            # Zipf-like: a few campaigns have most of the calls.
            campaign=f"campaign-{int(CAMPAIGNS ** rng.random())}",
            agent_id=f"agent-{rng.randrange(AGENTS)}",
            customer=customer(tenant, rng.randrange(CUSTOMERS)),
            call_started_at_ms=self.opened_at_ms - 800,
            opened_at_ms=self.opened_at_ms,
            policy_version="default@sha256:5bd1f0a2c3d4e5f6",
            policy_sha256="5b" * 32,
            model_version="2026.11.2",
            model_sha256="a7" * 32,
            keep_audio="flagged",
            retention_days=180.0,
            wrapped_key=wrapped_key,
            key_id=key_id,
        )

    def events(self, rng: random.Random) -> tuple[EventBatch, bytes]:
        """Return the session's events, all in one batch: the columns and the lines."""
        updates = list(self._updates(rng))
        shown: list[core.Event] = updates if self.flagged else [updates[0], updates[-1]]
        handoffs, settlements = self._handoffs(rng)
        shown += [
            core.HandoffRequested(
                row.handoff_id, row.alert_id, 0, round(row.offset_s * _RATE_HZ),
                row.pressure_index, core.HandoffReason.ANGER, row.explanation, 10.0,
            )
            for row in handoffs
        ]  # fmt: skip
        lines = "".join(
            event_to_line(event, sequence, self.opened_at_ms + 500 * sequence) + "\n"
            for sequence, event in enumerate(shown)
        )
        flag_ms = self.opened_at_ms + round(self.flag_s * 1000) if self.flagged else None
        batch = EventBatch(
            first=0,
            count=len(shown),
            peak_pressure_index=self.peak,
            peak_level=self.level,
            flagged_at_ms=flag_ms,
            flag_offset_s=self.flag_s if self.flagged else None,
            flag_pressure_index=self.peak - 3 if self.flagged else None,
            flag_reason="orange for 5 s" if self.flagged else "",
            handoffs=handoffs,
            settlements=settlements,
        )
        return batch, lines.encode()

    def closed(self, rng: random.Random, batch: EventBatch) -> Closed:
        return Closed(
            closed_at_ms=self.closed_at_ms,
            ended=_pick(rng, _ENDED),
            events=batch.count,
            audio="none",
            retain_until_ms=self.closed_at_ms + 180 * _DAY_MS,
            audio_s=self.length_s,
            customer_speech_s=round(self.length_s * 0.4, 2),
            peak_pressure_index=self.peak,
            mean_pressure_index=round(self.peak * 0.5, 3),
            peak_level=self.level,
            high_sensitivity=self.flagged,
            handoffs=len(batch.handoffs),
            gaps_s=0.0,
            windows_missed=0,
        )

    def _updates(self, rng: random.Random) -> Iterator[core.Event]:
        """Yield a pressure update for each half second of the customer's speech."""
        hops = max(int(self.length_s * 0.4 / 0.5), 2)
        for hop in range(hops):
            end = round(self.length_s * _RATE_HZ * (hop + 1) / hops)
            yield core.PressureUpdated(
                0, end - _RATE_HZ // 2, end, rng.random() * self.peak,
                {name: rng.random() for name in ("anger", "distress", "arousal", "valence")},
                rng.gauss(0, 1), hop > 10, rng.random(), core.SignalQuality.OK, self.level,
            )  # fmt: skip

    def _handoffs(
        self, rng: random.Random
    ) -> tuple[tuple[HandoffColumns, ...], tuple[SettlementColumns, ...]]:
        count = rng.choice((0, 1, 1, 1, 2)) if self.flagged else int(rng.random() < 0.01)
        handoffs, settlements = [], []
        for number in range(count):
            at_ms = self.opened_at_ms + round(self.flag_s * 1000) + 10_000 * number
            handoff_id = f"h-{self.index}-{number}"
            handoffs.append(
                HandoffColumns(
                    handoff_id, f"al-{self.index}", at_ms, self.flag_s + 10 * number, self.peak,
                    "anger", "The customer is loud and angry, for 8 s by now.", 10.0,
                )
            )  # fmt: skip
            if rng.random() < 0.95:
                outcome = _pick(rng, _OUTCOMES)
                settlements.append(SettlementColumns(handoff_id, outcome, "", at_ms + 4000))
        return tuple(handoffs), tuple(settlements)


def _facts(columns: Columns, number: int) -> dict[str, str | int | bool]:
    """Return the facts of a leaf, as a recorder states them."""
    match columns:
        case Opened():
            return {
                "policy_sha256": columns.policy_sha256,
                "model_sha256": columns.model_sha256,
            }
        case EventBatch():
            return {"first": columns.first, "count": columns.count}
        case Closed():
            return {
                "ended": columns.ended,
                "events": columns.events,
                "leaves": number + 1,
                "audio": False,
            }
        case Erased():
            return {"cause": columns.cause}
        case _:
            return {}


def _session_json(uid: str, opened: Opened) -> bytes:
    """Return session.json as the recorder writes it."""
    return canonical_json(
        {
            "tenant": opened.tenant,
            "session_id": opened.session_id,
            "evidence_id": uid,
            "call": {
                "call_id": opened.call_id,
                "campaign": opened.campaign,
                "agent_id": opened.agent_id,
                "customer": opened.customer,
                "started_at_ms": opened.call_started_at_ms,
                "customer_time_zone": "Asia/Shanghai",
                "labels": {},
            },
            "consent": {"state": "given", "notice_given": True, "lawful_basis": "contract"},
            "audio": {
                "encoding": "mulaw",
                "sample_rate_hz": _RATE_HZ,
                "channels": ["customer", "human_agent"],
            },
            "policy_version": opened.policy_version,
            "policy_sha256": opened.policy_sha256,
            "model_version": opened.model_version,
            "model_sha256": opened.model_sha256,
            "keep_audio": opened.keep_audio,
            "retention_days": opened.retention_days,
            "opened_at_ms": opened.opened_at_ms,
        }
    )


def _pick(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]
