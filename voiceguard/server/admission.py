"""`FrontDesk`: from a client's configuration to a session, new or resumed."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from voiceguard.core.channel import FrontEnd
from voiceguard.core.errors import ClientError
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.session import CallSession
from voiceguard.server.live import LiveSession, Scoring, SessionStream
from voiceguard.server.logs import describe_defect
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.policies import PolicyShelf
from voiceguard.server.registry import SessionRegistry
from voiceguard.server.status import CallRefusedError, draining, internal_error
from voiceguard.server.terms import SessionKey, SessionLimits, SessionTerms, Wishes
from voiceguard.server.witness import Witnesses
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import audio_format_from_proto, check_text, consent_from_proto

SESSION_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")

MAX_LABELS: Final = 32
MAX_LABEL_KEY_CHARACTERS: Final = 64

TIMESTAMP_SECONDS: Final = (-62_135_596_800, 253_402_300_799)
"""Years 1 to 9999, as google/protobuf/timestamp.proto allows."""

DRAIN_RETRY_S: Final = 1.0
"""When a client that met a draining server may connect again."""


@dataclass(frozen=True, slots=True)
class Ear:
    """What a server listens with: the same for all its sessions."""

    front_end: FrontEnd
    weights: EvidenceWeights
    model_version: str
    """Name and version of the model."""


class FrontDesk:
    """Lets calls in, and sees them out.

    Args:
        ear: detector, resampler, model constants.
        shelf: policies to choose from.
        registry: the live sessions.
        scoring: answers score requests.
        witnesses: keep sessions, and tell those who watch.
        limits: times and sizes of sessions.
        metrics: counts what happens.
        log: says what happens.
        clock: monotonic seconds.
    """

    def __init__(  # noqa: PLR0913 - the parts of a server, put together in one place
        self,
        *,
        ear: Ear,
        shelf: PolicyShelf,
        registry: SessionRegistry,
        scoring: Scoring,
        witnesses: Witnesses,
        limits: SessionLimits,
        metrics: ServerMetrics,
        log: FilteringBoundLogger,
        clock: Callable[[], float],
    ) -> None:
        self.shelf = shelf
        self.registry = registry
        self.metrics = metrics
        self.clock = clock
        self.is_draining = False
        self._ear = ear
        self._scoring = scoring
        self._witnesses = witnesses
        self._limits = limits
        self._log = log
        self._ended_audio_s = 0.0

    @property
    def audio_s(self) -> float:
        """Seconds of audio of all sessions so far, on their audio clocks."""
        return self._ended_audio_s + sum(session.audio_s for session in self.registry)

    @property
    def model_version(self) -> str:
        """Name and version of the model."""
        return self._ear.model_version

    def admit(self, tenant: str, config: pb.SessionConfig, stream: SessionStream) -> LiveSession:
        """Open a session, or find the one to resume; its first response is in its outbox.

        Args:
            tenant: whose client this is.
            config: what it sent.
            stream: which the session is to be reached by.

        Raises:
            ClientError: something in the configuration is not accepted.
            CallRefusedError: there is no place for it, or nothing to resume.
        """
        if self.is_draining:
            raise CallRefusedError(draining(DRAIN_RETRY_S))
        check_config(config)
        key = SessionKey(tenant, config.session_id)
        session = self._resume(key, config) if config.resume_token else self._open(key, config)
        wishes = Wishes(config.pressure_updates, config.speech_events)
        session.attach(stream, wishes, self.clock())
        session.outbox.put_first([pb.MonitorResponse(opened=self._opened(session))])
        return session

    def detach(self, session: LiveSession) -> None:
        """Keep a session whose stream broke, for its client to resume."""
        session.detach(self.clock())
        self._log.info("session_detached", session=session.key.session_id)

    def release(self, session: LiveSession, ended: str) -> None:
        """Finish a session if it is not, and forget it.

        Args:
            session: to be let go.
            ended: how it ended, one of a few words, for metrics and the log.
        """
        self.registry.remove(session)
        session.finish(self.clock())
        session.close_record(ended)
        self._ended_audio_s += session.audio_s
        self.metrics.count_session(ended)
        self._log.info(
            "session_ended",
            session=session.key.session_id,
            ended=ended,
            audio_s=round(session.audio_s, 1),
            dropped=session.outbox.dropped,
        )

    def check_sessions(self) -> None:
        """Do what the clock has made due in all sessions."""
        now_s = self.clock()
        for session in self.registry:
            if now_s >= session.next_check_s:
                self._check(session, now_s)
        for session in self.registry.take_expired(now_s):
            self.release(session, "abandoned")

    def _check(self, session: LiveSession, now_s: float) -> None:
        try:
            session.check(now_s)
        except Exception as defect:  # noqa: BLE001 - one call's defect must not end the others
            self._log.error("call_defect", **describe_defect(defect))
            session.fail(internal_error())

    def _open(self, key: SessionKey, config: pb.SessionConfig) -> LiveSession:
        terms, policy = self._terms(config)
        core = CallSession(
            policy,
            terms.audio_format,
            front_end=self._ear.front_end,
            weights=self._ear.weights,
            consent=terms.consent,
        )
        self.registry.check_vacancy(key)
        session = LiveSession(
            key,
            terms,
            policy,
            core,
            limits=self._limits,
            scoring=self._scoring,
            witness=self._witnesses.begin(key, terms, policy, config.call),
            metrics=self.metrics,
            log=self._log.bind(session=key.session_id),
            now_s=self.clock(),
        )
        self.registry.add(session)
        self._log.info(
            "session_opened", session=key.session_id, tenant=key.tenant, policy=policy.version
        )
        return session

    def _resume(self, key: SessionKey, config: pb.SessionConfig) -> LiveSession:
        session = self.registry.find(key, config.resume_token)
        _check_same_terms(session.terms, config)
        if session.finished or session.is_ending:
            raise ClientError("config.resume_token", "the session has been ended by its client")
        self.registry.renew_token(session, config.resume_token)
        self.metrics.count_resume()
        self._log.info("session_resumed", session=key.session_id, tenant=key.tenant)
        return session

    def _terms(self, config: pb.SessionConfig) -> tuple[SessionTerms, Policy]:
        if not config.HasField("audio"):
            raise ClientError("config.audio", "is missing; say what the audio is")
        audio_format = audio_format_from_proto(config.audio)
        policy = self.shelf.find(config.policy)
        if policy is None:
            known = ", ".join(self.shelf.names)
            raise ClientError("config.policy", f"no policy has this name; there are {known}")
        consent = consent_from_proto(config.consent)
        return SessionTerms(audio_format, config.policy, consent), policy

    def _opened(self, session: LiveSession) -> pb.SessionOpened:
        return pb.SessionOpened(
            session_id=session.key.session_id,
            resume_token=session.token,
            accepted_samples=session.received_samples,
            policy_version=session.policy.version,
            model_version=self._ear.model_version,
        )


def check_config(config: pb.SessionConfig) -> None:
    """Refuse a configuration whose texts break the interface's rules.

    Raises:
        ClientError: naming the first field that does.
    """
    if not SESSION_ID.fullmatch(config.session_id):
        problem = "give 1 to 128 letters, digits and - _ . : @"
        raise ClientError("config.session_id", problem)
    call = config.call
    for name in ("call_id", "campaign", "agent_id", "customer_number"):
        check_text(getattr(call, name), f"config.call.{name}")
    _check_time_zone(call.customer_time_zone)
    least, most = TIMESTAMP_SECONDS
    started = call.started_at
    if not (least <= started.seconds <= most and 0 <= started.nanos < 1_000_000_000):
        raise ClientError("config.call.started_at", "lies outside the years 1 to 9999")
    if len(call.labels) > MAX_LABELS:
        problem = f"{len(call.labels)} labels; at most {MAX_LABELS} are accepted"
        raise ClientError("config.call.labels", problem)
    for label, value in call.labels.items():
        check_text(label, "config.call.labels", MAX_LABEL_KEY_CHARACTERS)
        check_text(value, "config.call.labels")


def _check_time_zone(name: str) -> None:
    if not name:
        return
    check_text(name, "config.call.customer_time_zone")
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        problem = "is not a name of the IANA time zone database, such as Asia/Shanghai"
        raise ClientError("config.call.customer_time_zone", problem) from error


def _check_same_terms(terms: SessionTerms, config: pb.SessionConfig) -> None:
    """Refuse to resume a session as something else than it was opened as.

    Raises:
        ClientError: naming the field that differs.
    """
    problem = "differs from what the session was opened with"
    if audio_format_from_proto(config.audio) != terms.audio_format:
        raise ClientError("config.audio", problem)
    if config.policy != terms.policy_name:
        raise ClientError("config.policy", problem)
    if consent_from_proto(config.consent) != terms.consent:
        raise ClientError("config.consent", problem)
