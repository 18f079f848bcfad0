"""Reads the facts of a report from the payloads of a session's evidence.

The payloads are the files of a bundle. They are parsed here as what they are, JSON and TOML, and
by nothing of the program that wrote them, as a stranger would have to.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voiceguard.evidence.facts import (
    LEVELS,
    AccessEntry,
    AudioFacts,
    CallFacts,
    Flag,
    Gap,
    Handoff,
    LeafRange,
    LevelChange,
    PolicyFacts,
    PressurePoint,
    ReportFacts,
    Settlement,
    SpeechSpan,
    Summary,
    Threshold,
    Verdict,
)
from voiceguard.evidence.leaves import Leaf, LeafKind


def facts_from_payloads(
    files: Mapping[str, bytes], origin: str, leaves: Iterable[tuple[int, Leaf]]
) -> ReportFacts:
    """Return what a report states of one session.

    Args:
        files: content of a bundle by name. `session.json`, `events.jsonl` and `policy.toml` must
            be there; `closed.json`, `audio.json`, `verdicts.jsonl` and `access.jsonl` may be;
            others are not looked at.
        origin: name of the evidence log.
        leaves: of the session, each with its index in the log.

    Raises:
        ValueError, KeyError, TypeError: a file is not what voiceguard writes under its name.
    """
    session = json.loads(files["session.json"])
    audio = session["audio"]
    rate_hz = int(audio["sample_rate_hz"])
    events = _Events(rate_hz)
    for values in _lines(files["events.jsonl"]):
        events.receive(values)
    closed = json.loads(files["closed.json"]) if files.get("closed.json") else None
    kept = json.loads(files["audio.json"]) if files.get("audio.json") else None
    return ReportFacts(
        tenant=session["tenant"],
        session_id=session["session_id"],
        evidence_id=session["evidence_id"],
        origin=origin,
        opened_at_ms=session["opened_at_ms"],
        encoding=audio["encoding"],
        sample_rate_hz=rate_hz,
        roles=tuple(audio["channels"]),
        keep_audio=session["keep_audio"],
        retention_days=session["retention_days"],
        model_version=session["model_version"],
        model_sha256=session["model_sha256"],
        call=_call(session["call"], session["consent"]),
        policy=_policy(session, files["policy.toml"]),
        summary=None if closed is None else _summary(closed),
        audio=None if kept is None else _audio(kept),
        points=tuple(events.points),
        speech=events.finished_speech(),
        gaps=tuple(events.gaps),
        changes=tuple(events.changes),
        handoffs=events.settled_handoffs(),
        flag=events.flag,
        verdicts=tuple(
            Verdict(
                v["recorded_at_ms"], v["handoff_id"], v["kind"], v["comment"], v["reviewer"]
            )
            for v in _lines(files.get("verdicts.jsonl", b""))
        ),
        accesses=tuple(
            AccessEntry(entry["at_ms"], entry["actor"], entry["action"], entry["detail"])
            for entry in _lines(files.get("access.jsonl", b""))
        ),
        leaves=_ranges(leaves),
        latest_s=events.latest_s,
    )  # fmt: skip


def _lines(content: bytes) -> list[dict[str, Any]]:
    """Return the objects of JSON lines. Only a line feed ends a line: U+2028 is text."""
    return [json.loads(line) for line in content.split(b"\n") if line]


@dataclass(slots=True)
class _Events:
    """Gathers a session's events, given in their order."""

    rate_hz: int
    points: list[PressurePoint] = field(default_factory=list)
    speech: list[SpeechSpan] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    changes: list[LevelChange] = field(default_factory=list)
    flag: Flag | None = None
    latest_s: float = 0.0
    _handoffs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _settlements: dict[str, list[Settlement]] = field(default_factory=dict)
    _speaking: dict[int, float] = field(default_factory=dict)
    _scores: dict[int, Mapping[str, float]] = field(default_factory=dict)

    def receive(self, event: Mapping[str, Any]) -> None:
        """Take the next event; kinds that a report says nothing of are passed over."""
        for name in ("at_sample", "end_sample", "audio_samples"):
            if name in event:
                self.latest_s = max(self.latest_s, self._seconds(event, name))
        match event["event"]:
            case "pressure_updated":
                self._receive_pressure(event)
            case "speech_started" | "speech_ended":
                self._receive_speech(event)
            case "alert_changed":
                self._receive_change(event)
            case "handoff_requested":
                self._handoffs.setdefault(event["handoff_id"], dict(event))
            case "handoff_settled":
                answer = Settlement(event["at_ms"], event["outcome"], event["reason"])
                self._settlements.setdefault(event["handoff_id"], []).append(answer)
            case "session_flagged":
                self._receive_flag(event)
            case "gap_detected":
                start_s = self._seconds(event, "start_sample")
                self.gaps.append(Gap(start_s, self._seconds(event, "end_sample")))
            case _:
                pass

    def finished_speech(self) -> tuple[SpeechSpan, ...]:
        """Return all speech in order; what goes on ends with the newest event."""
        running = (SpeechSpan(c, since_s, self.latest_s) for c, since_s in self._speaking.items())
        return tuple(sorted([*self.speech, *running], key=lambda span: span.start_s))

    def settled_handoffs(self) -> tuple[Handoff, ...]:
        """Return all handoffs in order, each with what became of it."""
        return tuple(
            Handoff(
                handoff_id=handoff_id,
                at_ms=event["at_ms"],
                at_s=self._seconds(event, "at_sample"),
                channel=event["channel"],
                index=event["pressure_index"],
                reason=event["reason"],
                explanation=event["explanation"],
                ack_deadline_s=event["ack_deadline_s"],
                settlements=tuple(self._settlements.get(handoff_id, ())),
            )
            for handoff_id, event in self._handoffs.items()
        )

    def _receive_pressure(self, event: Mapping[str, Any]) -> None:
        point = PressurePoint(
            at_ms=event["at_ms"],
            channel=event["channel"],
            start_s=self._seconds(event, "start_sample"),
            end_s=self._seconds(event, "end_sample"),
            index=event["pressure_index"],
            level=event["level"],
            scores=event["scores"],
        )
        self.points.append(point)
        if point.scores:
            self._scores[point.channel] = point.scores

    def _receive_speech(self, event: Mapping[str, Any]) -> None:
        channel, at_s = event["channel"], self._seconds(event, "at_sample")
        if event["event"] == "speech_started":
            self._speaking[channel] = at_s
        elif (since_s := self._speaking.pop(channel, None)) is not None:
            self.speech.append(SpeechSpan(channel, since_s, at_s))

    def _receive_flag(self, event: Mapping[str, Any]) -> None:
        if self.flag is None:
            at_s, index = self._seconds(event, "at_sample"), event["pressure_index"]
            self.flag = Flag(event["at_ms"], at_s, event["channel"], index, event["reason"])

    def _receive_change(self, event: Mapping[str, Any]) -> None:
        self.changes.append(
            LevelChange(
                at_ms=event["at_ms"],
                at_s=self._seconds(event, "at_sample"),
                channel=event["channel"],
                level=event["level"],
                previous_level=event["previous_level"],
                index=event["pressure_index"],
                threshold=event["threshold"],
                scores=self._scores.get(event["channel"], {}),
            )
        )

    def _seconds(self, event: Mapping[str, Any], name: str) -> float:
        return float(event[name]) / self.rate_hz


def _call(call: Mapping[str, Any], consent: Mapping[str, Any]) -> CallFacts:
    return CallFacts(
        call_id=call["call_id"],
        campaign=call["campaign"],
        agent_id=call["agent_id"],
        customer=call["customer"],
        started_at_ms=call["started_at_ms"],
        time_zone=call["customer_time_zone"],
        labels=call["labels"],
        consent_state=consent["state"],
        notice_given=consent["notice_given"],
        lawful_basis=consent["lawful_basis"],
    )


def _policy(session: Mapping[str, Any], content: bytes) -> PolicyFacts:
    table = tomllib.loads(content.decode("utf-8"))
    thresholds = (
        Threshold(
            level=level,
            raise_at=float(alert["raise_threshold"]),
            clear_at=float(alert["clear_threshold"]),
            hold_s=float(alert["hold_s"]),
            minimum_speech_s=float(alert["minimum_speech_s"]),
        )
        for level, alert in ((level, table["alerts"][level]) for level in LEVELS[1:])
    )
    return PolicyFacts(
        version=session["policy_version"],
        sha256=session["policy_sha256"],
        thresholds=tuple(thresholds),
        handoff_level=table["handoff"]["level"],
        flag_level=table["flag"]["level"],
    )


def _summary(closed: Mapping[str, Any]) -> Summary:
    values = closed["summary"]
    return Summary(
        ended=closed["ended"],
        closed_at_ms=closed["closed_at_ms"],
        events=closed["events"],
        audio_s=values["audio_s"],
        customer_speech_s=values["customer_speech_s"],
        peak_index=values["peak_pressure_index"],
        mean_index=values["mean_pressure_index"],
        peak_level=values["peak_level"],
        flagged=values["high_sensitivity"],
        gaps_s=values["gaps_s"],
        windows_missed=values["windows_missed"],
    )


def _audio(kept: Mapping[str, Any]) -> AudioFacts:
    rate_hz = kept["sample_rate_hz"]
    return AudioFacts(
        sha256=kept["sha256"],
        bytes_=kept["bytes"],
        duration_s=kept["samples"] / rate_hz,
        complete=kept["complete"],
        missing_s=kept["missing_samples"] / rate_hz,
    )


def _ranges(leaves: Iterable[tuple[int, Leaf]]) -> tuple[LeafRange, ...]:
    kinds: dict[LeafKind, list[tuple[int, Leaf]]] = {}
    for index, leaf in leaves:
        kinds.setdefault(leaf.kind, []).append((index, leaf))
    return tuple(_range(kind, found) for kind, found in kinds.items())


def _range(kind: LeafKind, found: Sequence[tuple[int, Leaf]]) -> LeafRange:
    first_index, first = min(found, key=lambda pair: pair[0])
    last_index, last = max(found, key=lambda pair: pair[0])
    return LeafRange(kind.value, len(found), first_index, last_index, first.at_ms, last.at_ms)
