"""From a client's configuration to what the store keeps of its session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from voiceguard.core.policy import Policy
from voiceguard.server.reviewing.alerts import AlertHub
from voiceguard.server.terms import SessionKey, SessionTerms
from voiceguard.server.witness import KeepsNothing, SessionWitness
from voiceguard.store.archive import Archive
from voiceguard.store.payloads import Opening
from voiceguard.v1 import monitor_pb2 as pb

_MS: int = 1000


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model scores, as evidence shows it."""

    version: str
    """Name and version."""
    manifest: bytes = field(repr=False)
    """The manifest's file, which names the digest of the model's own."""


class KeptSessions:
    """Witnesses that keep sessions in an archive and tell reviewers of alerts.

    Args:
        archive: keeps them.
        hub: tells the reviewers who watch.
        model: that scores them.
        wall_ms: milliseconds since 1970, UTC.
    """

    def __init__(
        self,
        archive: Archive,
        hub: AlertHub,
        model: ModelIdentity,
        wall_ms: Callable[[], int],
    ) -> None:
        self._archive = archive
        self._hub = hub
        self._model = model
        self._wall_ms = wall_ms
        self._model_sha256 = archive.put_document("model", model.manifest)

    def begin(
        self, key: SessionKey, terms: SessionTerms, policy: Policy, call: pb.CallMetadata
    ) -> SessionWitness:
        """Return the witness of a session that opens now."""
        opening = Opening(
            tenant=key.tenant,
            session_id=key.session_id,
            audio_format=terms.audio_format,
            policy_version=policy.version,
            policy_sha256=self._archive.put_document("policy", policy.content),
            model_version=self._model.version,
            model_sha256=self._model_sha256,
            keep_audio=policy.keep_audio,
            retention_days=policy.retention_days,
            opened_at_ms=self._wall_ms(),
            consent=terms.consent,
            call_id=call.call_id,
            campaign=call.campaign,
            agent_id=call.agent_id,
            customer_number=call.customer_number,
            call_started_at_ms=_started_at_ms(call),
            customer_time_zone=call.customer_time_zone,
            labels=dict(call.labels),
        )
        return SessionWitness(
            self._archive.begin(opening),
            partial(self._hub.publish, key.tenant, key.session_id),
            self._wall_ms,
            terms.audio_format.frame_bytes,
        )


class ForgottenSessions:
    """Witnesses of a server that keeps nothing.

    Args:
        wall_ms: milliseconds since 1970, UTC.
    """

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms

    def begin(
        self, key: SessionKey, terms: SessionTerms, policy: Policy, call: pb.CallMetadata
    ) -> SessionWitness:
        """Return a witness that forgets."""
        del key, policy, call
        return SessionWitness(
            KeepsNothing(), _tell_nobody, self._wall_ms, terms.audio_format.frame_bytes
        )


def _tell_nobody(response: pb.MonitorResponse) -> None:
    del response


def _started_at_ms(call: pb.CallMetadata) -> int | None:
    if not call.HasField("started_at"):
        return None
    return call.started_at.seconds * _MS + call.started_at.nanos // 1_000_000
