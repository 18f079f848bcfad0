"""Bundles that were tampered with: each is refused, and it is said what is wrong."""

from __future__ import annotations

import hashlib
import random

import pytest

from tests.evidence.bundles import (
    MIB,
    POLICY,
    TinyLog,
    audio_json,
    check,
    export,
    forge,
    joined,
    lines_of,
    make_bundle,
    record_session,
    unzipped,
    zipped,
)
from voiceguard.evidence.leaves import LeafKind
from voiceguard.evidence.timestamps import Timestamp
from voiceguard.evidence.verify import canonical_json, parse_canonical

AUDIO = random.Random(4).randbytes(3 * MIB + 1000)
# Leaves of a session with audio: 0 opened, 1 to 3 events, 4 closed, 5 audio, 6 accessed,
# 7 verdict, 8 held, 9 accessed, 10 exported.


@pytest.fixture(scope="module")
def good():
    return make_bundle(AUDIO)


def problems(bundle, key):
    verdict = check(bundle, key)
    assert not verdict.ok
    return verdict.problems


def tampered(good, change):
    bundle, key = good
    found = forge(bundle, change)
    assert found != bundle
    return problems(found, key)


def edit_lines(name, change):
    def edit(files):
        lines = lines_of(files[name])
        change(lines)
        files[name] = joined(lines)

    return edit


def swap(i, j):
    def change(lines):
        lines[i], lines[j] = lines[j], lines[i]

    return change


def remanifest(files):
    """Make the manifest fit the files again, as a forger would."""
    manifest = parse_canonical(files["manifest.json"])
    for name in manifest["files"]:
        content = files[name]
        manifest["files"][name] = {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    files["manifest.json"] = canonical_json(manifest)


def test_every_single_byte_of_a_small_bundle_counts():
    bundle, key = make_bundle(batches=0)
    content = bytearray(bundle)
    generator = random.Random(9)
    for position in range(len(content)):
        flip = 1 << generator.randrange(8)
        content[position] ^= flip
        assert not check(bytes(content), key).ok, position
        content[position] ^= flip
    assert check(bytes(content), key).ok


def test_bytes_all_over_a_bundle_with_audio_count(good):
    bundle, key = good
    content = bytearray(bundle)
    generator = random.Random(11)
    for position in generator.sample(range(len(content)), 100):
        flip = generator.randrange(1, 256)
        content[position] ^= flip
        assert problems(bytes(content), key)
        content[position] ^= flip


def test_a_dropped_leaf_is_missing(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.pop(2)))
    assert "Leaf 2: missing." in found
    assert "events.jsonl: lines 5 to 8: of no leaf." in found


def test_a_leaf_dropped_with_its_lines_is_missing(good):
    def change(files):
        edit_lines("leaves.jsonl", lambda lines: lines.pop(2))(files)
        files["events.jsonl"] = joined(
            lines_of(files["events.jsonl"])[:4] + lines_of(files["events.jsonl"])[8:]
        )

    found = tampered(good, change)
    assert "Leaf 2: missing." in found
    assert any("closed with 12" in problem for problem in found)


def test_a_leaf_dropped_and_the_others_renumbered_fails_the_proofs(good):
    def drop(lines):
        lines.pop(2)
        for number, line in enumerate(lines):
            outer = parse_canonical(line)
            leaf = parse_canonical(outer["leaf"].encode())
            leaf["n"] = number
            outer["leaf"] = canonical_json(leaf).decode()
            lines[number] = canonical_json(outer)

    found = tampered(good, edit_lines("leaves.jsonl", drop))
    assert "Leaves 2 to 9: the proof does not lead to the signed root." in found
    assert "The session closed with 5 leaves, but the last of them is number 3." in found


def test_the_last_leaf_dropped_is_missing(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.pop()))
    assert "The last leaf is missing: the one that records this export." in found


def test_the_first_leaf_dropped_is_missing(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.pop(0)))
    assert "The first leaf is missing: the one that opened the session." in found


def test_a_missing_closed_leaf_is_named(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.pop(4)))
    assert "The leaf that closed the session is missing: nothing shows its end." in found


def test_two_swapped_leaves_are_named(good):
    found = tampered(good, edit_lines("leaves.jsonl", swap(2, 3)))
    assert "Leaves 2 and 3 are swapped." in found


def test_several_leaves_out_of_order_are_named(good):
    def rotate(lines):
        lines[1:4] = [lines[3], lines[1], lines[2]]

    found = tampered(good, edit_lines("leaves.jsonl", rotate))
    assert "Leaves 1 to 3: not in their order." in found


def test_a_repeated_leaf_is_named(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.insert(3, lines[2])))
    assert "Leaf 2: there more than once." in found


def test_swapped_proofs_are_named(good):
    def change(lines):
        one, other = parse_canonical(lines[2]), parse_canonical(lines[3])
        one["proof"], other["proof"] = other["proof"], one["proof"]
        lines[2:4] = [canonical_json(one), canonical_json(other)]

    found = tampered(good, edit_lines("leaves.jsonl", change))
    assert found == ("Leaves 2 to 3: the proof does not lead to the signed root.",)


def test_a_leaf_that_is_none_is_named(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.insert(2, b"{}")))
    assert "leaves.jsonl: line 3 is not a leaf in its one form." in found


def test_a_changed_event_is_named(good):
    def change(lines):
        lines[5] = lines[5].replace(b"5", b"6")

    found = tampered(good, edit_lines("events.jsonl", change))
    assert "events.jsonl: lines 5 to 8: not what leaf 2 recorded." in found
    assert "events.jsonl is not the file that manifest.json names." in found


def test_events_swapped_between_batches_are_named(good):
    found = tampered(good, edit_lines("events.jsonl", swap(3, 4)))
    assert "events.jsonl: lines 1 to 8: not what leaves 1 to 2 recorded." in found


def test_an_added_event_is_named(good):
    found = tampered(good, edit_lines("events.jsonl", lambda lines: lines.append(b"{}")))
    assert "events.jsonl: line 13: of no leaf." in found
    assert "events.jsonl has 13 events, but the session closed with 12." in found


def test_a_replaced_piece_of_audio_is_named_with_its_time(good):
    def change(files):
        audio = files["audio.flac"]
        files["audio.flac"] = audio[:MIB] + bytes(MIB) + audio[2 * MIB :]
        remanifest(files)

    found = tampered(good, change)
    assert "audio.flac: MiB 2 of 4, from about 20 s to 40 s, is not what was recorded." in found
    assert "manifest.json is not what leaf 10 recorded." in found


def test_a_removed_audio_file_is_missing(good):
    found = tampered(good, lambda files: files.pop("audio.flac"))
    assert "audio.flac is missing." in found


def test_audio_removed_with_its_description_is_missing(good):
    def change(files):
        del files["audio.flac"], files["audio.json"]

    found = tampered(good, change)
    assert "audio.json is missing." in found


def test_audio_removed_with_its_leaf_is_missing(good):
    def change(files):
        del files["audio.flac"], files["audio.json"]
        edit_lines("leaves.jsonl", lambda lines: lines.pop(5))(files)

    found = tampered(good, change)
    assert "The session closed with audio, but the leaf of it is missing." in found


def test_audio_replaced_with_its_description_is_not_what_the_leaf_recorded(good):
    def change(files):
        files["audio.flac"] = bytes(MIB)
        files["audio.json"] = audio_json(bytes(MIB))
        remanifest(files)

    found = tampered(good, change)
    assert "audio.json is not what leaf 5 recorded." in found


def test_shortened_audio_is_named(good):
    found = tampered(good, lambda files: files.update({"audio.flac": AUDIO[: 2 * MIB]}))
    assert f"audio.flac has {2 * MIB} bytes, but {len(AUDIO)} were recorded." in found


def test_a_removed_access_is_missing(good):
    found = tampered(good, edit_lines("access.jsonl", lambda lines: lines.pop(1)))
    assert "access.jsonl: the line that leaf 8 recorded is missing." in found
    assert not any("leaf 9" in problem for problem in found)


def test_a_removed_access_leaf_is_missing(good):
    found = tampered(good, edit_lines("leaves.jsonl", lambda lines: lines.pop(8)))
    assert "Leaf 8: missing." in found
    assert "access.jsonl: line 2: of no leaf." in found


def test_an_altered_verdict_is_named(good):
    def change(files):
        files["verdicts.jsonl"] = files["verdicts.jsonl"].replace(b"confirmed", b"false_alarm")
        remanifest(files)

    found = tampered(good, change)
    assert "verdicts.jsonl: line 1 is not what leaf 7 recorded." in found


def test_an_altered_report_is_named(good):
    found = tampered(good, lambda files: files.update({"report.zh.html": b"<p>all calm</p>"}))
    assert found == ("report.zh.html is not the file that manifest.json names.",)


def test_an_altered_report_with_its_manifest_is_named(good):
    def change(files):
        files["report.en.html"] = b"<p>all calm</p>"
        remanifest(files)

    assert tampered(good, change) == ("manifest.json is not what leaf 10 recorded.",)


@pytest.mark.parametrize("name", ["policy.toml", "model.toml"])
def test_another_policy_or_model_is_named(good, name):
    def change(files):
        files[name] = POLICY + b"# milder\n"
        remanifest(files)

    assert f"{name} is not the one that the session was opened with." in tampered(good, change)


@pytest.mark.parametrize("name", ["session.json", "closed.json"])
def test_another_session_or_end_is_named(good, name):
    def change(files):
        values = parse_canonical(files[name])
        files[name] = canonical_json(values | {"consent": "given"})

    assert any(f"{name} is not what leaf" in problem for problem in tampered(good, change))


def test_the_checkpoint_of_another_log_does_not_count(good):
    other = TinyLog(b"o" * 32, "another.example/log")
    record_session(other, None)
    found = tampered(good, lambda files: files.update(checkpoint=other.checkpoint()))
    assert any("of the log 'another.example/log'" in problem for problem in found)


def test_the_checkpoint_of_another_key_does_not_count(good):
    other = TinyLog(b"o" * 32)
    record_session(other, None)
    found = tampered(good, lambda files: files.update(checkpoint=other.checkpoint()))
    assert any("not signed by this key" in problem for problem in found)


def test_another_logs_key_refuses_a_good_bundle(good):
    bundle, _ = good
    assert any(
        "not signed by this key" in text for text in problems(bundle, TinyLog(b"o" * 32).key)
    )


def test_a_changed_root_is_not_what_was_signed(good):
    def change(files):
        origin, _, rest = files["checkpoint"].split(b"\n", 2)
        files["checkpoint"] = b"\n".join([origin, b"500", rest])

    found = tampered(good, change)
    assert any("its signature is wrong" in problem for problem in found)


def test_the_checkpoint_of_a_smaller_tree_lacks_the_last_leaves():
    log = TinyLog()
    bundle = export(record_session(log, None), None)
    smaller = log.checkpoint(len(log.leaves) - 1)
    found = tampered((bundle, log.key), lambda files: files.update(checkpoint=smaller))
    size = len(log.leaves) - 1
    assert f"Leaf 9: not in the signed tree, which has {size} leaves." in found
    assert "Leaves 0 to 8: the proof does not lead to the signed root." in found


def test_a_checkpoint_with_other_signatures_is_not_in_its_one_form(good):
    witness = b"\xe2\x80\x94 witness.example Az3grg==\n"
    found = tampered(good, lambda files: files.update(checkpoint=files["checkpoint"] + witness))
    assert found == ("checkpoint is not in its one form: other lines were added to it.",)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.9, 0.99999])
def test_a_truncated_file_is_refused(good, share):
    bundle, key = good
    [found] = problems(bundle[: int(len(bundle) * share)], key)
    assert "ends too early" in found or "ends within" in found or "it is empty" in found


def test_what_is_appended_is_refused(good):
    bundle, key = good
    assert problems(bundle + b"\0", key) == ("Something follows the end of the zip.",)


def test_another_form_of_the_same_zip_is_refused(good):
    import io
    import zipfile

    bundle, key = good
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in unzipped(bundle).items():
            file.writestr(name, content)
    [found] = problems(target.getvalue(), key)
    assert "zip's header of manifest.json" in found


@pytest.mark.parametrize(
    "name", ["session.json", "events.jsonl", "leaves.jsonl", "manifest.json", "access.jsonl"]
)
def test_files_of_two_bundles_do_not_mix(name):
    log = TinyLog()
    mine = export(record_session(log, None), None)
    other = record_session(log, None, uid="f" * 32)
    other.record(LeafKind.ACCESSED, b"{}\n")
    theirs = unzipped(export(other, None))
    content = unzipped(mine)[name]
    if name == "events.jsonl":
        theirs[name] = joined(lines_of(theirs[name])[:-1])
    assert theirs[name] != content
    assert tampered((mine, log.key), lambda files: files.update({name: theirs[name]}))


def test_leaves_of_two_sessions_do_not_mix():
    log = TinyLog()
    mine = export(record_session(log, None), None)
    theirs = unzipped(export(record_session(log, None, uid="f" * 32), None))
    line = lines_of(theirs["leaves.jsonl"])[2]

    def change(lines):
        lines[2] = line

    found = tampered((mine, log.key), edit_lines("leaves.jsonl", change))
    assert "Leaf 2: of another session." in found


@pytest.mark.parametrize(
    "name", [name for name in unzipped(make_bundle()[0]) if not name.startswith("audio")]
)
def test_a_removed_file_is_missing(name):
    bundle, key = make_bundle()
    assert f"{name} is missing." in tampered((bundle, key), lambda files: files.pop(name))


def test_a_timestamp_must_be_about_the_beginning_of_this_log():
    log = TinyLog()
    recording = record_session(log, None)
    note = log.checkpoint()
    response = b"..." + hashlib.sha256(note).digest()
    timestamp = Timestamp(len(log.leaves), note, response)
    bundle = export(recording, None, timestamp)
    verdict = check(bundle, log.key)
    assert verdict.ok, verdict.problems
    assert (verdict.facts.timestamped_leaves, verdict.facts.timestamp_checked) == (9, False)
    good = bundle, log.key
    assert tampered(good, lambda f: f.update({"timestamp.tsr": b"..."})) == (
        "timestamp.tsr is not about timestamp.checkpoint.",
    )
    assert tampered(good, lambda f: f.update({"consistency.json": b'{"proof":[]}'})) == (
        "consistency.json does not show that the log begins as it was timestamped.",
    )
    assert tampered(good, lambda f: f.pop("timestamp.tsr")) == (
        "The timestamp is not whole: there is only timestamp.checkpoint, consistency.json.",
    )
    assert any(
        problem.startswith("timestamp.tsr does not hold")
        for problem in check(bundle, log.key, b"no certificate").problems
    )


def test_a_timestamp_that_is_asked_for_must_be_there(good):
    bundle, key = good
    assert check(bundle, key, b"").problems == ("There is no timestamp to check.",)


def test_forging_nothing_changes_nothing(good):
    bundle, key = good
    assert zipped(unzipped(bundle)) == bundle
    assert check(bundle, key).ok
