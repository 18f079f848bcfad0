"""Codecs keep the length, the place of every frame and, mostly, the sound."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.training.speech import recordings
from voiceguard.core.audio import ALAW_TABLE, MULAW_TABLE
from voiceguard.training.lines.codecs import (
    ALAW,
    AMR_NB_BIT_RATES,
    MULAW,
    CodecError,
    Samples,
    through_amr_nb,
    through_g711,
    through_gsm_fr,
    through_int16,
    through_opus,
)

Trip = Callable[[Samples], Samples]

CODECS: dict[str, Trip] = {
    "g711-mu": through_g711,
    "g711-a": partial(through_g711, law=ALAW),
    "gsm-fr": through_gsm_fr,
    **{f"amr-{rate}": partial(through_amr_nb, bit_rate=rate) for rate in AMR_NB_BIT_RATES},
    **{f"opus-{rate}": partial(through_opus, bit_rate=rate) for rate in (6000, 9000, 12000)},
}
every_codec = pytest.mark.parametrize("trip", CODECS.values(), ids=CODECS)


def clip(index: int = 0) -> Samples:
    return np.asarray(recordings()[index].samples / 32768, np.float32)


def lag_samples(sent: Samples, received: Samples) -> int:
    """Return how much later `received` is, by the highest peak of the cross-correlation."""
    size = 2 * len(sent)
    spectra = np.conj(np.fft.rfft(sent, size)) * np.fft.rfft(received, size)
    lag = int(np.argmax(np.fft.irfft(spectra, size)))
    return lag if lag < len(sent) else lag - size


def envelope(samples: Samples) -> NDArray[np.float64]:
    """Return the level of each 10 ms."""
    framed = samples[: len(samples) // 80 * 80].reshape(-1, 80)
    return np.sqrt(np.mean(framed.astype(np.float64) ** 2, axis=1))


@every_codec
@pytest.mark.parametrize("length", [0, 1, 159, 160, 161, 4000])
def test_a_codec_keeps_the_length_and_range(trip: Trip, length: int) -> None:
    sent = 3.0 * clip()[2000 : 2000 + length]
    received = trip(sent)
    assert received.shape == (length,)
    assert received.dtype == np.float32
    assert length == 0 or np.abs(received).max() <= 1.0


@every_codec
@pytest.mark.parametrize("index", [0, 6, 12])
def test_a_codec_leaves_everything_in_its_place(trip: Trip, index: int) -> None:
    sent = clip(index)
    received = trip(sent)
    assert abs(lag_samples(sent, received)) <= 2
    assert np.corrcoef(envelope(sent), envelope(received))[0, 1] > 0.85


@every_codec
def test_a_codec_reaches_to_the_last_sample(trip: Trip) -> None:
    """The end is not silence that stands for what a codec's delay has pushed out."""
    sent = clip()[4000:8000]
    tail = slice(-160, None)
    ratio_db = 10 * np.log10(np.mean(trip(sent)[tail] ** 2) / np.mean(sent[tail] ** 2))
    assert abs(ratio_db) < 8.0


@every_codec
def test_the_same_samples_give_the_same_bytes(trip: Trip) -> None:
    first = trip(clip()).tobytes()
    trip(clip(3))
    assert trip(clip()).tobytes() == first


@every_codec
def test_silence_stays_silence(trip: Trip) -> None:
    assert np.abs(trip(np.zeros(4000, np.float32))).max() < 0.002


def loss_db(trip: Trip) -> float:
    """Return the mean distance of log spectra, over frames with speech."""
    sent = clip()
    frames = [
        np.abs(np.fft.rfft(samples[: len(samples) // 256 * 256].reshape(-1, 256) * np.hanning(256)))
        for samples in (sent, trip(sent))
    ]
    loud = np.sum(frames[0] ** 2, axis=1) > 0.01
    spectra = [20 * np.log10(frame[loud, 10:110] + 1e-3) for frame in frames]
    return float(np.mean(np.abs(spectra[1] - spectra[0])))


@pytest.mark.parametrize("codec", ["amr", "opus"])
def test_fewer_bits_sound_worse(codec: str) -> None:
    low, high = {"amr": ("amr-4750", "amr-12200"), "opus": ("opus-6000", "opus-12000")}[codec]
    assert loss_db(CODECS["g711-mu"]) < loss_db(CODECS[high]) < loss_db(CODECS[low])


@pytest.mark.parametrize(("law", "table"), [(MULAW, MULAW_TABLE), (ALAW, ALAW_TABLE)])
def test_g711_gives_only_values_that_it_can_code(law: str, table: NDArray[np.int16]) -> None:
    samples = clip()
    coded = through_g711(samples, law)
    assert np.isin((coded * 32768).astype(np.int32), table).all()
    assert 10 * np.log10(np.mean(samples**2) / np.mean((coded - samples) ** 2)) > 25.0
    np.testing.assert_array_equal(through_g711(coded, law), coded)


def test_sixteen_bits_round_and_clip() -> None:
    samples = np.array([0.6 / 32768, -0.4 / 32768, 2.0, -2.0], np.float32)
    expected = np.array([1 / 32768, 0.0, 32767 / 32768, -1.0], np.float32)
    np.testing.assert_array_equal(through_int16(samples), expected)


def test_bit_rates_that_a_codec_has_not_are_refused() -> None:
    with pytest.raises(CodecError, match="no mode of 5000 bit/s; choose one of 4750"):
        through_amr_nb(clip(), 5000)
    with pytest.raises(CodecError, match="6000 to 12000 bit/s here, not at 32000"):
        through_opus(clip(), 32000)


def test_without_pyav_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CodecError, match=r"pip install 'voiceguard\[training\]'"):
        through_opus(clip(), 6000)


def test_a_pyav_without_the_codec_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str, _: str) -> None:
        raise ValueError(name)

    monkeypatch.setattr("av.CodecContext.create", lacking)
    with pytest.raises(CodecError, match="lacks libopencore_amrnb; install PyAV's own wheel"):
        through_amr_nb(clip(), 4750)


def test_a_libsndfile_without_gsm_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise soundfile.LibsndfileError(1)

    monkeypatch.setattr("soundfile.write", refusing)
    with pytest.raises(CodecError, match="install soundfile's own wheel"):
        through_gsm_fr(clip())
