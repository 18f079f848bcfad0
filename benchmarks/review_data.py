"""What a server has kept, made in seconds: sessions by the hundred thousand, and whole calls.

The folder is as a server leaves it: keyring, evidence log, database, sealed payloads that open.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.store_sessions import generate
from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    AudioFormat,
    Encoding,
    Event,
    HandoffOutcome,
    HandoffReason,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    Role,
    SessionFinished,
    SessionFlagged,
    SignalQuality,
)
from voiceguard.core.policy import AudioKeeping
from voiceguard.evidence.log import EvidenceLog, choose_origin
from voiceguard.evidence.signing import Signer
from voiceguard.resources import models_dir, policies_dir, samples_dir
from voiceguard.store.archive import Archive, wall_ms
from voiceguard.store.database import Database
from voiceguard.store.keys import Keyring
from voiceguard.store.payloads import Opening
from voiceguard.store.projection import Projection
from voiceguard.store.sealing import Payload, new_key, seal_payload
from voiceguard.store.settings import ArchiveSettings, DataLock, create_keyring

RATE_HZ: Final = 8000
FORMAT: Final = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER, Role.HUMAN_AGENT))
STEP_S: Final = 2
"""As often a server writes down what happened in a session."""
_HANDOFF_EVERY_S: Final = 60
_STORED_WITHIN_S: Final = 600


class KeyringSealer:
    """Seals the payloads of generated sessions as the recorder does.

    Args:
        keys: of the store.
    """

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._uid, self._key = "", b""

    def key(self, uid: str) -> tuple[str, str]:
        """Make the key of a session; return it wrapped, and the id of the master key."""
        self._uid, self._key = uid, new_key()
        return self._keys.wrap(uid, self._key), self._keys.key_id

    def seal(self, uid: str, number: int, salt: bytes, payload: bytes) -> bytes:
        """Return a payload sealed for its place in the session whose key was made last."""
        assert uid == self._uid  # noqa: S101 - sessions are generated one after the other
        return seal_payload(self._key, uid, number, Payload(salt, payload))

    def customer(self, tenant: str, number: int) -> str:
        """Return the pseudonym of a customer."""
        return self._keys.pseudonym(tenant, phone_number(number))


def phone_number(customer: int) -> str:
    """Return the number of a generated customer."""
    return f"+86138{customer:08}"


def fill_data_dir(
    data_dir: Path, sessions: int, seed: int, on_progress: Callable[[int], None]
) -> int:
    """Fill an empty folder with sessions that ended within the last 90 days; return the leaves.

    Args:
        data_dir: of a server that is not running, new.
        sessions: how many.
        seed: the same one gives the same sessions, apart from keys and times.
        on_progress: called with how many leaves there are.
    """
    settings = ArchiveSettings(data_dir=data_dir)
    with DataLock(data_dir):
        keys, _ = create_keyring(settings)
        signer = Signer.load_or_create(
            settings.evidence_key_path, choose_origin(data_dir / "log", "")
        )
        database = Database.open(settings.url)
        try:
            with EvidenceLog.open(data_dir / "log", signer) as log:
                projection = Projection(database, log.origin)
                for batch in generate(sessions, seed, KeyringSealer(keys), wall_ms()):
                    log.append([record.leaf.to_bytes() for record in batch])
                    projection.apply(batch)
                    on_progress(log.size)
                log.checkpoint()
                return log.size
        finally:
            database.close()


def keep_call(data_dir: Path, session_id: str, minutes: float, tenant: str) -> dict[str, float]:
    """Record a flagged call of two channels through an archive, as fast as it goes.

    The audio is the bundled sample call, over and over. Each 2 s of call have a record of their
    own, as they have in real time, with 4 pressure updates and an alert; each minute has a
    handoff.

    Args:
        data_dir: of a server that is not running.
        session_id: of the call.
        minutes: its length.
        tenant: whose it is.

    Returns:
        Seconds of wall time: `record_s` until everything is recorded, `store_audio_s` from then
        on until the audio is a FLAC file and the database shows it.
    """
    archive = Archive.open(ArchiveSettings(data_dir=data_dir))
    archive.start()
    try:
        started_s = time.perf_counter()
        uid = _talk(archive, _opening(archive, session_id, tenant), minutes)
        _wait(lambda: archive.health.waiting_records == 0)
        recorded_s = time.perf_counter()
        _wait(lambda: _is_stored(archive, uid))
        stored_s = time.perf_counter()
        return {"record_s": recorded_s - started_s, "store_audio_s": stored_s - recorded_s}
    finally:
        archive.close()


def _talk(archive: Archive, opening: Opening, minutes: float) -> str:
    """Let a call take place; return its evidence id."""
    samples = sample_call()
    step = STEP_S * RATE_HZ
    steps = round(minutes * 60 / STEP_S)
    record = archive.begin(opening)
    flag = SessionFlagged(0, 10 * RATE_HZ, 88.5, "anger at 88")
    for number in range(steps):
        places = np.arange(number * step, (number + 1) * step) % len(samples)
        record.receive_audio(samples[places].tobytes(), number * step)
        events = list(_events(number, step))
        if number == 5:  # 10 s
            events.append(flag)
        record.receive_events(events, opening.opened_at_ms + (number + 1) * STEP_S * 1000)
        _wait(lambda: archive.health.waiting_records == 0)
    end_ms = opening.opened_at_ms + steps * STEP_S * 1000
    handoffs = steps * STEP_S // _HANDOFF_EVERY_S
    finished = SessionFinished(
        steps * step, 0, steps * 0.8, 92.0, 51.0, AlertLevel.RED, steps > 5, handoffs, 0
    )
    record.receive_events([finished], end_ms)
    record.close("completed", end_ms)
    return record.evidence_id


def _events(number: int, step: int) -> Iterator[Event]:
    """Yield what happens in one step of a restless call."""
    rng = np.random.default_rng(number)
    start, hop = number * step, RATE_HZ // 2
    names = ("anger", "distress", "arousal", "valence", "loudness", "tempo")
    index = 50.0
    for begin in range(start, start + step, hop):
        index = float(rng.uniform(30, 92))
        scores = {name: float(rng.random()) for name in names}
        yield PressureUpdated(
            0, begin, begin + hop, index, scores, float(rng.normal()), True,
            float(rng.random()), SignalQuality.OK, AlertLevel.ORANGE,
        )  # fmt: skip
    up = number % 2 == 0
    levels = (AlertLevel.ORANGE, AlertLevel.YELLOW) if up else (AlertLevel.YELLOW, AlertLevel.GREEN)
    alert_id = f"alert-{number // 2}"
    yield AlertChanged(alert_id, *levels, 0, start + step, index, 60.0)
    if (number + 1) * STEP_S % _HANDOFF_EVERY_S == 0:
        handoff_id = f"handoff-{number}"
        yield HandoffRequested(
            handoff_id, alert_id, 0, start + step, index, HandoffReason.ANGER,
            "The customer is loud and angry, for 8 s by now.", 10.0,
        )  # fmt: skip
        yield HandoffSettled(handoff_id, HandoffOutcome.DECLINED, "nobody free")


def sample_call() -> NDArray[np.int16]:
    """Return the bundled sample call, (samples, 2) at 8 kHz."""
    samples, rate_hz = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    assert rate_hz == RATE_HZ  # noqa: S101 - it is bundled
    assert samples.shape[1] == len(FORMAT.channels)  # noqa: S101 - the same
    found: NDArray[np.int16] = samples
    return found


def _opening(archive: Archive, session_id: str, tenant: str) -> Opening:
    policy = (policies_dir() / "default.toml").read_bytes()
    model = (models_dir() / "stress" / "model.toml").read_bytes()
    return Opening(
        tenant=tenant,
        session_id=session_id,
        audio_format=FORMAT,
        policy_version="default",
        policy_sha256=archive.put_document("policy", policy),
        model_version="stress",
        model_sha256=archive.put_document("model", model),
        keep_audio=AudioKeeping.FLAGGED,
        retention_days=180,
        opened_at_ms=wall_ms(),
        call_id=f"CALL-{session_id}",
        campaign="autumn",
        agent_id="agent-7",
        customer_number=phone_number(1),
    )


def _is_stored(archive: Archive, uid: str) -> bool:
    row = archive.finder.find_uid(uid)
    return row is not None and row.audio == "kept"


def _wait(is_done: Callable[[], bool]) -> None:
    """Wait for other threads.

    Raises:
        TimeoutError: they did not do it.
    """
    by_s = time.monotonic() + _STORED_WITHIN_S
    while not is_done():
        if time.monotonic() > by_s:
            raise TimeoutError("the archive did not keep up")
        time.sleep(0.001)
