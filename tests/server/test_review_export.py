"""Taking evidence away: what a bundle is made of, and what is written down of it."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile

import grpc
import pytest
import soundfile

from tests.server.reviewing import cheap_passwords, evidence_binder, reviewing
from tests.server.support import StreamError, calm_call, default_policy
from voiceguard.core.policy import AudioKeeping
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import VerifierKey, verify_bundle
from voiceguard.server.reviewing import evidencesource
from voiceguard.v1.review_pb2 import (
    ExportEvidenceRequest,
    GetSessionRequest,
    ListAccessRequest,
    RecordVerdictRequest,
)

CALL = "call-1"
EXPORT = ExportEvidenceRequest(session_id=CALL)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    cheap_passwords(monkeypatch)


@pytest.fixture
async def rig(tmp_path):
    async with reviewing(tmp_path) as rig:
        yield rig


async def exported(asking):
    chunks = [item.bundle for item in await asking.all_of("ExportEvidence", EXPORT)]
    assert all(0 < len(chunk) <= 64 * 1024 for chunk in chunks)
    return b"".join(chunks)


def pieces_of(bundle, count):
    pieces, file = [], io.BytesIO(bundle)
    for _ in range(count):
        size = int.from_bytes(file.read(4), "big")
        pieces.append(file.read(size))
    return pieces, file.read()


async def error_of(awaitable):
    with pytest.raises(StreamError) as caught:
        await awaitable
    return caught.value


async def test_evidence_is_all_of_a_session_and_ends_with_its_export(rig):
    audio = calm_call(6)
    uid = await rig.keep(audio=audio)
    await rig.ada.GetSession(GetSessionRequest(session_id=CALL))
    bundle = await exported(rig.ada)
    row = rig.archive.finder.find_uid(uid)
    records = rig.archive.payloads(row)
    assert [record.kind for record in records] == [
        LeafKind.OPENED, LeafKind.CLOSED, LeafKind.AUDIO, LeafKind.ACCESSED, LeafKind.EXPORTED,
    ]  # fmt: skip
    (policy, _model, *payloads), flac = pieces_of(bundle, 2 + len(records))
    assert policy == default_policy().content
    assert payloads == [record.payload for record in records]
    assert soundfile.read(io.BytesIO(flac), dtype="int16")[0].tobytes() == audio
    manifest = json.loads(payloads[-1])
    assert manifest["by"] == "ada"
    assert manifest["records"][-1] == "accessed"  # made before its own record
    assert rig.archive.log.leaf(records[-1].index) == records[-1].leaf
    assert Leaf.from_bytes(records[-1].leaf).session == uid
    entries = (await rig.carol.ListAccess(ListAccessRequest(session_id=CALL))).entries
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("ada", "viewed"),
        ("ada", "exported"),
    ]


async def test_a_bundle_verifies_offline(tmp_path):
    """With the binder that the server has, not the tests' plain one."""
    audio = calm_call(6)
    async with reviewing(tmp_path, evidence_binder) as rig:
        await rig.keep(audio=audio)
        verdict = RecordVerdictRequest(session_id=CALL, kind=1, comment="as it says")
        await rig.ada.RecordVerdict(verdict)
        bundles = [await exported(rig.ada), await exported(rig.carol)]
        key = VerifierKey.parse(rig.archive.log.verifier_key)
    for number, bundle in enumerate(bundles):
        found = verify_bundle(io.BytesIO(bundle), key)
        assert (found.ok, found.problems) == (True, ())
        assert (found.facts.session_id, found.facts.verdicts) == (CALL, 1)
        with zipfile.ZipFile(io.BytesIO(bundle)) as files:
            flac = files.read("audio.flac")
            by = json.loads(files.read("manifest.json"))["exported_by"]
        assert soundfile.read(io.BytesIO(flac), dtype="int16")[0].tobytes() == audio
        assert by == ("ada", "carol")[number]
        for place in range(7, len(bundle), len(bundle) // 40):
            changed = bytearray(bundle)
            changed[place] ^= 1
            assert not verify_bundle(io.BytesIO(changed), key).ok, place


async def test_every_export_is_written_down(rig):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    await asyncio.gather(*(exported(rig.ada) for _ in range(4)))
    entries = (await rig.carol.ListAccess(ListAccessRequest(session_id=CALL))).entries
    assert [entry.action for entry in entries] == ["exported"] * 4


async def test_live_sessions_are_not_exported(rig):
    record = rig.begin(CALL)
    await rig.shown(record.evidence_id)
    error = await error_of(exported(rig.ada))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SESSION_LIVE")
    record.close("completed", 1)


async def test_an_export_that_something_came_into_begins_anew(rig, monkeypatch):
    await rig.keep(keep_audio=AudioKeeping.NONE)
    payloads, tries = rig.archive.payloads, []

    def first_without_the_last(row, **options):
        tries.append(row)
        records = payloads(row, **options)
        return records[:-1] if len(tries) == 2 else records

    monkeypatch.setattr(rig.archive, "payloads", first_without_the_last)
    await exported(rig.ada)
    assert len(tries) == 4


async def test_no_bundle_lies_on_the_disk_in_the_clear():
    content = b"in the clear" * 50_000
    file = evidencesource.spilled(lambda target: target.write(content))
    assert file.read() == content
    file._file.seek(0)
    assert b"in the clear" not in file._file.read()
    file.close()


async def test_a_client_that_leaves_leaves_nothing_behind(rig):
    await rig.keep(audio=calm_call(6))
    stream = rig.ada.stream("ExportEvidence", EXPORT)
    await stream.read()
    stream.cancel()
    await exported(rig.ada)
