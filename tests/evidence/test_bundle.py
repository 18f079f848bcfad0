"""Bundles that are as they should be."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile

import pytest

from tests.evidence.bundles import (
    MODEL,
    POLICY,
    REPORTS,
    UID,
    TinyLog,
    check,
    export,
    make_bundle,
    record_session,
    unzipped,
    zipped,
)
from voiceguard.evidence.bundle import (
    BundleError,
    BundleOutdatedError,
    BundleSource,
    content_files,
    draft_bundle,
    write_bundle,
)
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.verify import FILES, parse_canonical

AUDIO = bytes(range(256)) * 5000  # 1.2 MiB


@pytest.fixture
def log():
    return TinyLog()


def draft_of(recording, audio=None, reports=REPORTS):
    source = BundleSource(tuple(recording.leaves), audio, POLICY, MODEL)
    return draft_bundle(
        source, reports, origin=recording.log.origin, exported_at_ms=1, exported_by="li"
    )


def test_a_bundle_verifies_and_says_what_it_is(log):
    verdict = check(export(record_session(log, AUDIO), AUDIO), log.key)
    assert verdict.ok, verdict.problems
    facts = verdict.facts
    assert (facts.evidence_id, facts.session_id, facts.log) == (UID, "call-0123", log.origin)
    assert (facts.events, facts.leaves, facts.verdicts, facts.accesses) == (12, 11, 1, 3)
    assert facts.audio_bytes == len(AUDIO)
    assert facts.tree_size == len(log.leaves)
    assert facts.opened_at_ms < facts.closed_at_ms < facts.exported_at_ms


@pytest.mark.parametrize("audio", [None, b"", AUDIO], ids=["not kept", "nothing to keep", "kept"])
def test_audio_is_there_when_there_was_any(audio):
    bundle, key = make_bundle(audio)
    assert check(bundle, key).ok
    assert ("audio.flac" in unzipped(bundle)) == bool(audio)
    assert ("audio.json" in unzipped(bundle)) == (audio is not None)


def test_a_session_without_events_verifies():
    assert check(*make_bundle(batches=0)).ok


def test_a_second_export_holds_the_manifest_of_the_first(log):
    recording = record_session(log, None)
    first = export(recording, None)
    second = export(recording, None)
    assert check(first, log.key).ok
    assert check(second, log.key).ok
    assert unzipped(second)["exports.jsonl"] == unzipped(first)["manifest.json"] + b"\n"


def test_the_same_session_gives_the_same_bytes():
    assert make_bundle(AUDIO) == make_bundle(AUDIO)


def test_any_zip_tool_reads_a_bundle(tmp_path):
    bundle, _ = make_bundle(AUDIO)
    path = tmp_path / "bundle.zip"
    path.write_bytes(bundle)
    subprocess.run([sys.executable, "-m", "zipfile", "-t", path], check=True, capture_output=True)
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        assert [item.filename for item in file.infolist()] == [
            name for name in FILES if "timestamp" not in name and name != "consistency.json"
        ]
        assert {item.date_time for item in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert file.read("audio.flac") == AUDIO
    assert zipped(unzipped(bundle)) == bundle


def test_the_manifest_names_every_file_for_people_and_machines(log):
    recording = record_session(log, AUDIO)
    manifest = parse_canonical(draft_of(recording, io.BytesIO(AUDIO)).manifest)
    assert set(manifest["files"]) == {
        *content_files(BundleSource(recording.leaves, io.BytesIO(AUDIO), POLICY, MODEL)),
        *REPORTS,
    }


def test_nothing_is_sought_in_the_target_and_the_audio_never_held(log):
    class Pipe(io.RawIOBase):
        largest = 0

        def writable(self):
            return True

        def write(self, content):
            self.largest = max(self.largest, len(content))
            return len(content)

    audio = bytes(5 << 20)
    recording = record_session(log, audio)
    draft = draft_of(recording, io.BytesIO(audio))
    pipe = Pipe()
    write_bundle(pipe, draft, recording.record(LeafKind.EXPORTED, draft.manifest), log)
    assert pipe.largest == 1 << 20


def test_a_session_that_goes_on_is_not_exported(log):
    recording = record_session(log, None)
    recording.leaves = recording.leaves[:3]
    with pytest.raises(BundleError, match="no end yet"):
        draft_of(recording)


def test_an_erased_session_is_not_exported(log):
    recording = record_session(log, None)
    recording.record(LeafKind.ERASED, b"", cause="request")
    with pytest.raises(BundleError, match="erased"):
        draft_of(recording)


def test_audio_that_is_gone_or_changed_is_not_exported(log):
    recording = record_session(log, AUDIO)
    with pytest.raises(BundleError, match="is not there"):
        draft_of(recording, None)
    with pytest.raises(BundleError, match="it was changed"):
        draft_of(recording, io.BytesIO(AUDIO[:-1] + b"x"))


def test_audio_that_changes_meanwhile_is_noticed(log):
    audio = io.BytesIO(AUDIO)
    recording = record_session(log, AUDIO)
    draft = draft_of(recording, audio)
    exported = recording.record(LeafKind.EXPORTED, draft.manifest)
    audio.getbuffer()[100] ^= 1
    with pytest.raises(BundleError, match=r"audio\.flac was changed"):
        write_bundle(io.BytesIO(), draft, exported, log)


def test_a_look_at_the_session_meanwhile_means_to_draft_anew(log):
    recording = record_session(log, None)
    draft = draft_of(recording)
    recording.record(LeafKind.ACCESSED, b"{}\n")
    exported = recording.record(LeafKind.EXPORTED, draft.manifest)
    with pytest.raises(BundleOutdatedError):
        write_bundle(io.BytesIO(), draft, exported, log)
    assert check(export(recording, None), log.key).ok


def test_the_leaf_of_another_export_is_refused(log):
    recording = record_session(log, None)
    draft = draft_of(recording)
    with pytest.raises(BundleError, match="another bundle"):
        write_bundle(io.BytesIO(), draft, recording.record(LeafKind.EXPORTED, b"{}"), log)


def test_a_file_beyond_what_a_bundle_takes_is_refused(log):
    reports = REPORTS | {"timeline.svg": bytes((64 << 20) + 1)}
    with pytest.raises(BundleError, match=r"timeline\.svg has 67108865 bytes"):
        draft_of(record_session(log, None), None, reports)


def test_reports_are_those_for_people(log):
    with pytest.raises(ValueError, match="reports must be"):
        draft_of(record_session(log, None), None, {})


def test_the_exported_leaf_is_the_last(log):
    bundle = export(record_session(log, None), None)
    last = parse_canonical(unzipped(bundle)["leaves.jsonl"].splitlines()[-1])
    assert Leaf.from_bytes(last["leaf"].encode()).kind is LeafKind.EXPORTED
