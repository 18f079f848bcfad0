"""The parts of the verifier, and what it does with nonsense."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evidence import reference, tsa
from tests.evidence.bundles import (
    TinyLog,
    check,
    export,
    make_bundle,
    record_session,
    unzipped,
    zipped,
)
from voiceguard.cli.program import run
from voiceguard.evidence import verify as module
from voiceguard.evidence.timestamps import Timestamp, request_timestamp
from voiceguard.evidence.verify import (
    FILES,
    Checkpoint,
    VerifierKey,
    ZipEntry,
    describe,
    leaf_hash,
    local_header,
    parse_canonical,
    proves_consistency,
    proves_inclusion,
)

LEAVES = [bytes([number]) for number in range(40)]
BUNDLE, KEY = make_bundle(b"flac" * 400)


@given(st.data())
def test_inclusion_is_proved_as_rfc_9162_says(data):
    size = data.draw(st.integers(1, 40))
    index = data.draw(st.integers(0, size - 1))
    root, path = reference.mth(LEAVES[:size]), reference.path(index, LEAVES[:size])
    hash_ = leaf_hash(LEAVES[index])
    assert proves_inclusion(index, size, hash_, path, root)
    wrong = data.draw(st.integers(0, 45))
    assert proves_inclusion(wrong, size, hash_, path, root) == (wrong == index)
    assert not proves_inclusion(index, size, leaf_hash(b"x"), path, root)
    assert not proves_inclusion(index, size, hash_, [*path, root], root)
    if path:
        assert not proves_inclusion(index, size, hash_, path[:-1], root)


@given(st.data())
def test_consistency_is_proved_as_rfc_9162_says(data):
    new = data.draw(st.integers(1, 40))
    old = data.draw(st.integers(1, new))
    roots = reference.mth(LEAVES[:old]), reference.mth(LEAVES[:new])
    proof = reference.proof(old, LEAVES[:new])
    assert proves_consistency(old, new, *roots, proof)
    assert not proves_consistency(old, new, roots[0], bytes(32), proof)
    assert not proves_consistency(old, new, bytes(32), roots[1], proof)
    assert not proves_consistency(0, new, *roots, proof)
    assert not proves_consistency(new + 1, new, *roots, proof)
    assert not proves_consistency(old, new, *roots, [*proof, bytes(32)])


def test_canonical_json_has_one_form():
    assert parse_canonical(b'{"a":1}') == {"a": 1}
    for other in (
        b'{"a": 1}', b'{"b":1,"a":1}', b'{"a":1,"a":1}', b"[]", b"", b'{"a":NaN}', b'{"a":1e999}',
        '{"a":"é"}'.encode(), b"\xff", b'{"a":' * 100_000, b"[" * 100_000,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"."):
            parse_canonical(other)


def test_a_public_key_is_read_from_text_and_file(tmp_path):
    text = TinyLog().signer.verifier_key
    path = tmp_path / "log.pub"
    path.write_text(text + "\n")
    assert VerifierKey.find(text) == VerifierKey.find(str(path)) == VerifierKey.parse(text)


@pytest.mark.parametrize(
    "text", ["", "name", "+00000000+AQ==", "a+b+c", "a+00000000+AQ==", "\0", "/", "x" * 5000]
)
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        VerifierKey.find(text)


def test_a_key_id_that_is_not_the_keys_is_refused():
    name, id_, key = TinyLog().signer.verifier_key.split("+", 2)
    with pytest.raises(ValueError, match="not a public key"):
        VerifierKey.parse(f"{name}+{id_[::-1]}+{key}")


def test_cosignatures_and_extensions_are_passed_over_as_the_standard_says():
    log = TinyLog()
    note = log.checkpoint() + "\N{EM DASH} witness.example/w1 Az3grg==\n".encode()
    Checkpoint.parse(note).check_signature(log.key)


@pytest.mark.parametrize(
    "note", [b"", b"\n\n", b"a\n1\nb\n\n", b"a\n01\n" + b"A" * 43 + b"=\n\n-\n", b"\xff", b"a" * 99]
)
def test_what_is_no_checkpoint_is_refused(note):
    with pytest.raises(ValueError, match=r"."):
        Checkpoint.parse(note)


@given(st.binary(max_size=300))
def test_garbage_is_refused(content):
    assert not check(content, KEY).ok


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(unzipped(BUNDLE))), st.data())
def test_garbage_in_any_file_is_refused(name, data):
    files = unzipped(BUNDLE)
    nonsense = st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["leaf", "proof", "index", "salt", "files", "chunks", "bytes"]),
                    inner,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value, sort_keys=True, separators=(",", ":")).encode()),
        st.sampled_from([b'{"a":' * 50_000, b"[" * 100_000, b"\n" * 1000, b"1" * 10_000]),
    )
    content = data.draw(nonsense)
    if content != files[name]:
        verdict = check(zipped(files | {name: content}), KEY)
        assert not verdict.ok
        "\n".join(describe(verdict)).encode()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(BUNDLE) - 1), st.binary(max_size=20), st.integers(0, 30))
def test_a_spliced_bundle_is_refused(position, inserted, removed):
    content = BUNDLE[:position] + inserted + BUNDLE[position + removed :]
    assert check(content, KEY).ok == (content == BUNDLE)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a\x1b[31m", "MANIFEST.JSON"])
def test_names_from_outside_are_refused(name):
    header = local_header(ZipEntry(name, 3, 0, 0))
    [problem] = check(header + b"abc", KEY).problems
    assert "is no file of a bundle" in problem
    assert problem.isprintable()


def test_a_file_that_is_there_twice_is_refused():
    twice = local_header(ZipEntry("policy.toml", 0, 0, 0)) * 2
    assert check(twice, KEY).problems == (
        "policy.toml is in the bundle twice, or not at its place.",
    )


@pytest.mark.parametrize(("name", "size"), [("manifest.json", 1 << 30), ("audio.flac", 0xFFFFFFFF)])
def test_lengths_that_lie_cost_no_memory(name, size):
    content = local_header(ZipEntry(name, size, 0, 0)) + bytes(100)
    tracemalloc.start()
    try:
        assert not check(content, KEY).ok
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_audio_is_read_with_little_memory():
    audio = bytes(40 << 20)
    bundle, key = make_bundle(audio)
    with io.BytesIO(bundle) as file:
        del audio
        tracemalloc.start()
        try:
            assert module.verify_bundle(file, key).ok
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()


def test_numbers_beyond_any_are_refused():
    files = unzipped(BUNDLE)
    for number in ("9" * 4000, "-1", "1.5", "true", '"1"'):
        line = f'{{"index":{number},"leaf":"{{}}","proof":[],"salt":""}}\n'.encode()
        assert not check(zipped(files | {"leaves.jsonl": line}), KEY).ok


def test_a_file_that_cannot_be_read_is_refused():
    class Broken(io.RawIOBase):
        def read(self, _size=-1):
            raise OSError("the disk is broken")

    assert module.verify_bundle(Broken(), KEY).problems == ("the disk is broken",)


def test_many_problems_are_counted_not_listed():
    files = unzipped(BUNDLE)
    verdict = check(zipped(files | {"leaves.jsonl": b"{}\n" * 1000}), KEY)
    assert len(verdict.problems) == module.MAX_PROBLEMS + 1
    assert "more problems" in verdict.problems[-1]


def test_an_end_record_of_nothing_is_refused():
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
    assert not check(end, KEY).ok


def test_the_folder_alone_verifies_where_nothing_else_is(tmp_path):
    shutil.copytree(Path(module.__file__).parent, tmp_path / "verify")
    (tmp_path / "voiceguard.py").write_text("raise AssertionError('imports voiceguard')")
    (tmp_path / "call.zip").write_bytes(BUNDLE)
    (tmp_path / "log.pub").write_text(TinyLog().signer.verifier_key)
    command = [sys.executable, "-m", "verify", "call.zip", "--key", "log.pub"]
    good = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout[:3]) == (0, "OK:"), good.stderr
    (tmp_path / "call.zip").write_bytes(BUNDLE[:-1])
    bad = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout[:8]) == (1, "REFUSED:")
    command[-1] = "nothing"
    wrong = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2


def test_all_names_have_room():
    assert all(0 < most <= module.MAX_BUNDLE_BYTES for most in FILES.values())


def test_a_real_timestamp_is_checked(tmp_path):
    pytest.importorskip("rfc3161_client")
    authority = tsa.Authority(tmp_path / "tsa")
    stranger = tsa.Authority(tmp_path / "stranger")
    log = TinyLog()
    recording = record_session(log, None)
    note = log.checkpoint()
    with tsa.served(authority.answer) as url:
        response = request_timestamp(url, note)
    bundle = export(recording, None, Timestamp(len(log.leaves), note, response))
    verdict = check(bundle, log.key, authority.root.public_bytes(Encoding.PEM))
    assert verdict.ok, verdict.problems
    assert verdict.facts.timestamp_checked
    assert verdict.facts.timestamp_at_ms > 1_700_000_000_000
    refused = check(bundle, log.key, stranger.root.public_bytes(Encoding.PEM))
    assert [problem[:27] for problem in refused.problems] == ["timestamp.tsr does not hold"]


@pytest.fixture
def bundle_path(tmp_path):
    path = tmp_path / "call.zip"
    path.write_bytes(BUNDLE)
    return path


KEY_TEXT = TinyLog().signer.verifier_key


def test_the_command_says_ok_and_what_it_is(bundle_path, command, capsys):
    assert command([str(bundle_path), "--key", KEY_TEXT]) == 0
    said = capsys.readouterr().out
    assert said.startswith("OK")
    assert "12 events, 1 verdicts, 3 accesses" in said


def test_the_command_refuses_and_says_why(bundle_path, command, capsys):
    bundle_path.write_bytes(BUNDLE[:1000])
    assert command([str(bundle_path), "--key", KEY_TEXT]) == 1
    assert "The file ends within" in capsys.readouterr().out


def test_the_command_speaks_json(bundle_path, command, capsys):
    assert command([str(bundle_path), "--key", KEY_TEXT, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["problems"], said["facts"]["events"]) == (True, [], 12)


def test_the_command_called_wrongly_checks_nothing(bundle_path, command, capsys):
    assert command([str(bundle_path), "--key", "nonsense"]) == 2
    assert command([str(bundle_path)]) == 2
    assert command(["not-there.zip", "--key", KEY_TEXT]) == 2
    assert capsys.readouterr().out == ""


@pytest.fixture
def command(monkeypatch):
    from voiceguard.cli import evidence
    from voiceguard.cli.lazy import Entry

    entry = Entry("voiceguard.cli.evidence_verify", "verify", "Check a bundle offline.")
    monkeypatch.setitem(evidence.COMMANDS, "verify", entry)
    return lambda arguments: run(["evidence", "verify", *arguments])


def test_the_command_imports_nothing_slow():
    code = (
        "import sys, voiceguard.cli.evidence_verify; "
        "print({'grpc', 'numpy', 'sqlalchemy', 'onnxruntime'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
