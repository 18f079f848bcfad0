"""What readers make of the publishers' file names and tables."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.training.speech import CREMA_D_DIR, EMO_DB_DIR
from voiceguard.training.corpora import (
    CORPORA,
    CREMA_D,
    EMO_DB,
    EMOTIONS,
    EMOVO,
    RAVDESS,
    SAVEE,
    TESS,
    Clip,
    Corpus,
    CorpusError,
    Demographics,
    read_calm,
    read_casia,
    read_crema_d,
    read_crema_d_demographics,
    read_emo_db,
    read_emogator,
    read_emovo,
    read_esd,
    read_nemo,
    read_nemo_demographics,
    read_ravdess,
    read_savee,
    read_tess,
)
from voiceguard.training.targets import target_of

LEVEL_COLUMNS = tuple(
    f"mean{name}Resp" for name in ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
)


def lay_out(folder: Path, *names: str) -> Path:
    """Write a short recording under each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(800), 8000)
    return folder


def facts(clips: Sequence[Clip]) -> list[tuple[str, str, str | None]]:
    return [(clip.speaker, clip.emotion, clip.sentence) for clip in clips]


def write_votes(path: Path, counts: str, levels: str) -> None:
    """Write `tabulatedVotes.csv` with one answer to the sound and one to the face of a clip."""
    header = ["", *"ADFHNS", "fileName"]
    header += list(LEVEL_COLUMNS)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        name = "1001_IEO_ANG_HI"
        writer.writerow(["100001", *counts.split(), name, *levels.split()])
        writer.writerow(["200001", *"900000", name, *["100", *["-1"] * 5]])


def test_crema_d_gives_speaker_sentence_emotion_intensity_and_audio_only_votes() -> None:
    clips = {clip.path.stem: clip for clip in read_crema_d(CREMA_D_DIR)}
    angry = clips["1064_IEO_ANG_HI"]
    assert len(clips) == 12
    assert (angry.speaker, angry.emotion, angry.intensity) == ("1064", "anger", "high")
    assert (angry.sentence, angry.language) == ("IEO", "en")
    assert angry.vote_counts is not None
    assert angry.vote_shares is not None
    assert sum(angry.vote_counts) > 5
    assert sum(angry.vote_shares) == pytest.approx(1.0)
    assert clips["1064_IEO_NEU_XX"].intensity is None
    assert {clip.emotion for clip in clips.values()} == set(EMOTIONS)


def test_crema_d_emotion_heard_counts_neutral_as_none(tmp_path: Path) -> None:
    lay_out(tmp_path, "AudioWAV/1001_IEO_ANG_HI.wav")
    write_votes(tmp_path / "tabulatedVotes.csv", "2 0 1 0 5 0", "80 -1 40 -1 90 -1")
    (clip,) = read_crema_d(tmp_path)
    assert clip.vote_counts == (2, 0, 1, 0, 5, 0)
    assert clip.heard_intensity == pytest.approx((2 * 0.8 + 0.4) / 8)


def test_crema_d_without_its_votes_is_refused(tmp_path: Path) -> None:
    shutil.copy(CREMA_D_DIR / "1064_IEO_ANG_HI.flac", tmp_path)
    with pytest.raises(CorpusError, match=r"tabulatedVotes\.csv"):
        read_crema_d(tmp_path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,2\n", "no column ''"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_crema_d_votes_that_are_something_else_are_refused(
    tmp_path: Path, content: bytes, problem: str
) -> None:
    lay_out(tmp_path, "1001_IEO_ANG_HI.wav")
    (tmp_path / "tabulatedVotes.csv").write_bytes(content)
    with pytest.raises(CorpusError, match=problem):
        read_crema_d(tmp_path)


def test_crema_d_votes_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, "1001_IEO_ANG_HI.wav")
    write_votes(tmp_path / "tabulatedVotes.csv", "2 0 many 0 5 0", "80 -1 40 -1 90 -1")
    with pytest.raises(CorpusError, match=r"1001_IEO_ANG_HI.*many"):
        read_crema_d(tmp_path)


def test_crema_d_demographics(tmp_path: Path) -> None:
    path = tmp_path / "VideoDemographics.csv"
    header = '"ActorID","Age","Sex","Race","Ethnicity"\n'
    path.write_text(f'{header}1001,51,"Male","Caucasian","Not Hispanic"\n', encoding="utf-8")
    actor = Demographics("male", 51, "Caucasian", "Not Hispanic")
    assert read_crema_d_demographics(tmp_path) == {"1001": actor}
    assert CREMA_D.demographics(tmp_path) == {"1001": actor}
    path.write_text(f"{header}1001,old,Male,Asian,Hispanic\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"actor 1001.*old"):
        read_crema_d_demographics(tmp_path)


def test_emo_db_gives_speaker_emotion_and_sentence_from_the_name() -> None:
    clips = {clip.path.stem: clip for clip in read_emo_db(EMO_DB_DIR)}
    assert facts(list(clips.values())) == [
        ("16", "happiness", "a01"),
        ("16", "anger", "a01"),
    ]
    assert {clip.language for clip in clips.values()} == {"de"}


def test_emogator_numbers_its_emotions_in_alphabetical_order(tmp_path: Path) -> None:
    lay_out(tmp_path, "000001-03-1.wav", "000001-15-1.wav", "000001-30-2.wav", "000001-31-1.wav")
    assert [clip.emotion for clip in read_emogator(tmp_path)] == ["anger", "fear", "triumph"]


def test_nemo_reads_its_table(tmp_path: Path) -> None:
    lay_out(tmp_path, "EB0_surprised_33.wav")
    table = tmp_path / "data.tsv"
    header = "file_id\temotion\tspeaker_id\tgender\tage\n"
    table.write_text(f"{header}EB0_surprised_33.wav\tsurprised\tEB0\tfemale\t27\n", "utf-8")
    (one,) = read_nemo(tmp_path)
    assert (one.speaker, one.emotion, one.sentence, one.language) == ("EB0", "surprise", "33", "pl")
    assert read_nemo_demographics(tmp_path) == {"EB0": Demographics("female", 27)}
    lay_out(tmp_path, "EB0_anger_34.wav")
    with pytest.raises(CorpusError, match="EB0_anger_34"):
        read_nemo(tmp_path)
    table.write_text(f"{header}EB0_surprised_33.wav\tglee\tEB0\tother\t27\n", "utf-8")
    (tmp_path / "EB0_anger_34.wav").unlink()
    with pytest.raises(CorpusError, match="glee"):
        read_nemo(tmp_path)
    with pytest.raises(CorpusError, match=r"EB0.*other"):
        read_nemo_demographics(tmp_path)


def test_ravdess_gives_speech_and_leaves_songs_and_videos_out(tmp_path: Path) -> None:
    folder = lay_out(
        tmp_path,
        "Actor_01/03-01-02-01-02-01-01.wav",
        "Actor_12/03-01-05-02-01-02-12.wav",
        "Actor_12/03-02-05-02-01-02-12.wav",
        "Actor_12/01-01-05-02-01-02-12.wav",
    )
    calm, angry = read_ravdess(folder)
    assert facts([calm, angry]) == [("01", "calm", "02"), ("12", "anger", "01")]
    assert (calm.intensity, angry.intensity) == ("medium", "high")
    assert RAVDESS.demographics(folder)["12"].sex == "female"
    assert RAVDESS.demographics(folder)["01"].sex == "male"


def test_a_recording_found_in_two_folders_or_formats_is_read_once(tmp_path: Path) -> None:
    folder = lay_out(
        tmp_path,
        "Actor_01/03-01-02-01-02-01-01.flac",
        "copy/Actor_01/03-01-02-01-02-01-01.wav",
    )
    assert [clip.path.suffix for clip in read_ravdess(folder)] == [".wav"]


def test_tess_gives_actress_word_and_emotion(tmp_path: Path) -> None:
    names = ("OAF_back_angry", "OA_bite_neutral", "YAF_youth_ps", "YAF_youth_unknown")
    clips = read_tess(lay_out(tmp_path, *(f"{name[:3]}/{name}.wav" for name in names)))
    assert facts(clips) == [
        ("OAF", "anger", "back"),
        ("OAF", "neutral", "bite"),
        ("YAF", "surprise_positive", "youth"),
    ]
    assert TESS.demographics(tmp_path)["YAF"].age_years == 26


def test_savee_names_its_speakers_in_the_folder_or_in_the_file(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "a", "AudioData/DC/a01.wav", "AudioData/JE/su15.wav")
    assert facts(read_savee(folder)) == [("DC", "anger", None), ("JE", "surprise", None)]
    folder = lay_out(tmp_path / "b", "DC_sa01.wav", "KL_n30.wav", "xx/f03.wav")
    assert facts(read_savee(folder)) == [("DC", "sadness", None), ("KL", "neutral", None)]
    with pytest.raises(CorpusError, match="DC, JE, JK and KL"):
        read_savee(lay_out(tmp_path / "c", "xx/f03.wav"))
    assert SAVEE.demographics(folder)["DC"].sex == "male"


def test_emovo_gives_emotion_speaker_and_sentence(tmp_path: Path) -> None:
    clips = read_emovo(lay_out(tmp_path, "f1/rab-f1-b1.wav", "m3/tri-m3-n5.wav"))
    assert facts(clips) == [("f1", "anger", "b1"), ("m3", "sadness", "n5")]
    assert EMOVO.demographics(tmp_path)["f1"].sex == "female"


def test_casia_gives_speaker_and_emotion_by_folder_and_knows_both_spellings(
    tmp_path: Path,
) -> None:
    folder = lay_out(
        tmp_path,
        "300/liuchanhg/angry/201.wav",
        "300/liuchanhg/sad/201.wav",
        "300/ZhaoZuoxiang/surprise/7.wav",
        "100/Chang.Liu/normal/301.wav",
    )
    assert sorted(facts(read_casia(folder)), key=str) == [
        ("liuchanhg", "anger", "201"),
        ("liuchanhg", "neutral", "301-neutral"),
        ("liuchanhg", "sadness", "201"),
        ("zhaozuoxiang", "surprise", "7"),
    ]
    with pytest.raises(CorpusError, match="SPEAKER/angry"):
        read_casia(lay_out(tmp_path / "flat", "201.wav"))


def test_esd_says_which_language_and_numbers_the_same_sentence_the_same(tmp_path: Path) -> None:
    folder = lay_out(
        tmp_path,
        "0001/Neutral/0001_000001.wav",
        "0001/Angry/0001_000351.wav",
        "0011/Surprise/train/0011_001750.wav",
    )
    clips = read_esd(folder)
    assert facts(clips) == [
        ("0001", "neutral", "zh-001"),
        ("0001", "anger", "zh-001"),
        ("0011", "surprise", "en-350"),
    ]
    assert [clip.language for clip in clips] == ["zh", "zh", "en"]
    with pytest.raises(CorpusError, match="no folder Angry"):
        read_esd(lay_out(tmp_path / "flat", "0012_000351.wav"))


def test_calm_recordings_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    clips = read_calm(lay_out(tmp_path, "one/001.wav", "two/001.wav"))
    assert [(clip.speaker, clip.emotion) for clip in clips] == [
        ("one/001", "neutral"),
        ("two/001", "neutral"),
    ]


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_a_folder_without_recordings_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no recordings|is missing"):
        corpus.read(tmp_path)


def test_the_catalogue_says_which_licences_forbid_commercial_use() -> None:
    assert {name for name, corpus in CORPORA.items() if corpus.licence.commercial_use} == {
        *("crema-d", "emo-db", "emogator", "calm"),
    }
    assert all(name == corpus.name for name, corpus in CORPORA.items())
    assert all(corpus.licence.attribution for corpus in CORPORA.values())


@pytest.mark.parametrize(
    ("read", "name", "codes"),
    [
        (read_ravdess, "03-01-0{}-01-02-01-01.wav", "1 2 3 4 5 6 7 8"),
        (read_savee, "DC_{}01.wav", "a d f h n sa su"),
        (read_tess, "OAF_back_{}.wav", "angry disgust fear happy neutral ps sad"),
        (read_emovo, "{}-f1-b1.wav", "dis gio neu pau rab sor tri"),
        (read_casia, "wangzhe/{}/1.wav", "angry fear happy neutral sad surprise"),
        (read_esd, "0001/{}/0001_000001.wav", "Angry"),
    ],
)
def test_every_emotion_of_the_research_corpora_has_a_target(
    read: Callable[[Path], list[Clip]], name: str, codes: str, tmp_path: Path
) -> None:
    clips = read(lay_out(tmp_path, *(name.format(code) for code in codes.split())))
    assert len(clips) == len(codes.split())
    assert all(target_of(clip) is not None for clip in clips)


def test_speakers_of_emo_db_are_five_women_and_five_men() -> None:
    sexes = [person.sex for person in EMO_DB.demographics(EMO_DB_DIR).values()]
    assert (sexes.count("female"), sexes.count("male")) == (5, 5)
