"""What readers make of the publishers' file names, and which speakers are kept apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.training.speech import CREMA_D_DIR, EMO_DB_DIR, recordings
from voiceguard.core.errors import AudioFileError
from voiceguard.training.corpora import (
    CORPORA,
    EMOTIONS,
    Clip,
    CorpusError,
    read_audio,
    read_calm,
    read_crema_d,
    read_emo_db,
    read_emogator,
    read_nemo,
)
from voiceguard.training.splits import (
    DEVELOPMENT_SPEAKERS,
    TEST_SPEAKERS,
    Split,
    held_out_speakers,
    split_of,
)
from voiceguard.training.targets import target_of


def test_crema_d_gives_speaker_emotion_intensity_and_audio_only_votes() -> None:
    clips = {clip.path.stem: clip for clip in read_crema_d(CREMA_D_DIR)}
    angry = clips["1064_IEO_ANG_HI"]
    assert len(clips) == 12
    assert (angry.speaker, angry.emotion, angry.intensity) == ("1064", "anger", "high")
    assert angry.votes is not None
    assert sum(angry.votes) == pytest.approx(1.0)
    assert clips["1064_IEO_NEU_XX"].intensity is None
    assert {clip.emotion for clip in clips.values()} == set(EMOTIONS)


def test_crema_d_without_its_votes_is_refused(tmp_path: Path) -> None:
    shutil.copy(CREMA_D_DIR / "1064_IEO_ANG_HI.flac", tmp_path)
    with pytest.raises(CorpusError, match=r"tabulatedVotes\.csv"):
        read_crema_d(tmp_path)


def test_emo_db_gives_speaker_and_emotion_from_the_name() -> None:
    emotions = {clip.path.stem: (clip.speaker, clip.emotion) for clip in read_emo_db(EMO_DB_DIR)}
    assert emotions == {"16a01Fc": ("16", "happiness"), "16a01Wb": ("16", "anger")}


def test_emogator_numbers_its_emotions_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("000001-03-1.wav", "000001-15-1.wav", "000001-30-2.wav"):
        soundfile.write(tmp_path / name, np.zeros(800), 8000)
    assert [clip.emotion for clip in read_emogator(tmp_path)] == ["anger", "fear", "triumph"]


def test_nemo_reads_its_table_and_is_for_evaluation_only(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text(
        "file_id\temotion\tspeaker_id\nEB0_anger_33.wav\tanger\tEB0\n", encoding="utf-8"
    )
    soundfile.write(tmp_path / "EB0_anger_33.wav", np.zeros(800), 8000)
    (one,) = read_nemo(tmp_path)
    assert (one.speaker, one.emotion) == ("EB0", "anger")
    assert split_of(one) is Split.TEST
    assert one.corpus not in {corpus.name for corpus in CORPORA}
    soundfile.write(tmp_path / "EB0_anger_34.wav", np.zeros(800), 8000)
    with pytest.raises(CorpusError, match="EB0_anger_34"):
        read_nemo(tmp_path)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no recordings"):
        read_calm(tmp_path)


def test_other_rates_and_channels_become_mono_at_8_khz(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, tone], axis=1), 44100)
    samples = read_audio(tmp_path / "tone.wav")
    assert len(samples) == 8000
    spectrum = np.abs(np.fft.rfft(samples))
    assert int(np.argmax(spectrum)) == 440
    assert np.max(samples) == pytest.approx(16384, rel=0.02)


def test_a_file_that_is_not_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "not.wav").write_bytes(b"text")
    with pytest.raises(AudioFileError, match=r"not\.wav"):
        read_audio(tmp_path / "not.wav")


def test_splits_are_disjoint_and_of_the_size_written_down() -> None:
    for corpus, speakers in TEST_SPEAKERS.items():
        assert not set(speakers) & set(DEVELOPMENT_SPEAKERS[corpus])
    assert len(TEST_SPEAKERS["crema-d"]) == 16
    assert len(DEVELOPMENT_SPEAKERS["crema-d"]) == 8
    assert held_out_speakers()["emo-db"] == ["11", "16"]


def test_bundled_clips_are_of_held_out_speakers() -> None:
    assert all(split_of(one.clip) is not Split.TRAIN for one in recordings())


def clip(emotion: str, corpus: str = "crema-d", votes: tuple[float, ...] | None = None) -> Clip:
    return Clip(corpus, Path("clip.wav"), "1001", emotion, None, votes)


def test_what_listeners_heard_softens_what_the_actor_meant() -> None:
    meant = target_of(clip("anger"))
    heard = target_of(clip("anger", votes=(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)))
    assert meant is not None
    assert heard is not None
    assert meant.outputs[0] == pytest.approx(1.0)
    assert heard.outputs[0] == pytest.approx(0.7)
    assert heard.outputs[3] > meant.outputs[3]
    assert heard.emotions.sum() == pytest.approx(1.0)


def test_cheerful_is_neither_anger_nor_distress_and_sobs_are_distress() -> None:
    happy, sob = target_of(clip("happiness")), target_of(clip("sadness", "emogator"))
    assert happy is not None
    assert sob is not None
    assert happy.outputs[:2].tolist() == [0.0, 0.0]
    assert sob.outputs[1] > 0.5
    assert sob.weight < 0.5
    assert target_of(clip("romantic_love", "emogator")) is None
