import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.core.units import FULL_SCALE, INPUT_RATES_HZ, SAMPLE_RATE_HZ, input_frame_samples
from voiceguard.engine.resample import StreamResampler

RATES_HZ = [rate for rate in INPUT_RATES_HZ if rate != SAMPLE_RATE_HZ]


def resample(samples, rate_hz, lengths=None):
    resampler = StreamResampler(rate_hz)
    parts, start = [], 0
    for length in lengths or [input_frame_samples(rate_hz)] * (len(samples) // 100):
        parts.append(resampler.receive(samples[start : start + length]))
        start += length
    parts += [resampler.receive(samples[start:]), resampler.flush()]
    return np.concatenate(parts)


def tone(frequency_hz, rate_hz, seconds=1.0, peak=16000):
    time_s = np.arange(int(rate_hz * seconds)) / rate_hz
    return np.round(peak * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.int16)


def level_db(samples):
    middle = samples[1000:-1000].astype(np.float64) / FULL_SCALE
    return 10 * np.log10(np.mean(middle**2) + 1e-12)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@given(lengths=st.lists(st.integers(0, 2500), max_size=12))
@settings(max_examples=15, deadline=None)
def test_any_chunking_gives_the_same_samples(rate_hz, lengths):
    samples = np.random.default_rng(1).integers(-32768, 32768, 12_345).astype(np.int16)
    np.testing.assert_array_equal(resample(samples, rate_hz, lengths), resample(samples, rate_hz))


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("seconds", [0.0, 0.011, 1.0, 3.017])
def test_output_is_as_long_as_the_input(rate_hz, seconds):
    samples = np.zeros(int(rate_hz * seconds), dtype=np.int16)
    expected = len(samples) * SAMPLE_RATE_HZ / rate_hz
    assert abs(len(resample(samples, rate_hz)) - expected) <= 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("at", [12_345, 20_001, 30_030])
def test_an_impulse_stays_where_it_is(rate_hz, at):
    samples = np.zeros(rate_hz, dtype=np.int16)
    samples[at % rate_hz] = 30_000
    peak = int(np.argmax(np.abs(resample(samples, rate_hz).astype(int))))
    assert abs(peak - (at % rate_hz) * SAMPLE_RATE_HZ / rate_hz) <= 1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_aliases_are_rejected_and_the_telephone_band_is_kept(rate_hz):
    for frequency_hz in (300, 1000, 3400):
        sent = tone(frequency_hz, rate_hz)
        assert level_db(resample(sent, rate_hz)) == pytest.approx(level_db(sent), abs=0.2)
    for frequency_hz in (4200, 4700, 6000, 7700, rate_hz // 2 - 200):
        sent = tone(frequency_hz, rate_hz)
        # Rounding to 16 bits leaves noise near -101 dB, so 90 dB is what can be seen.
        assert level_db(sent) - level_db(resample(sent, rate_hz)) > 80


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_delay_is_reported_and_bounded(rate_hz):
    resampler = StreamResampler(rate_hz)
    frame = np.zeros(input_frame_samples(rate_hz), dtype=np.int16)
    returned = 0
    for count in range(1, 200):
        returned += len(resampler.receive(frame))
        expected = count * len(frame) * SAMPLE_RATE_HZ / rate_hz - returned
        assert resampler.delay_samples == pytest.approx(expected)
        assert 0 <= resampler.delay_samples <= 0.120 * SAMPLE_RATE_HZ
    assert returned > 180 * 160


def test_full_scale_clips_and_does_not_wrap():
    square = np.where(np.arange(16_000) // 20 % 2, 32767, -32768).astype(np.int16)
    resampled = resample(square, 16_000)
    # An overshoot that wrapped would come out with the other sign.
    assert resampled[np.arange(len(resampled)) // 10 % 2 == 1][100:-100:10].min() > -20_000
    assert resampled.max() == 32767
    assert resampled.min() == -32768


@pytest.mark.parametrize("end", [StreamResampler.flush, StreamResampler.reset])
def test_nothing_is_left_over_for_the_next_signal(end):
    noise = np.random.default_rng(2).integers(-32768, 32768, 5_000).astype(np.int16)
    resampler = StreamResampler(48_000)
    resampler.receive(noise)
    end(resampler)
    again = np.concatenate([resampler.receive(noise), resampler.flush()])
    np.testing.assert_array_equal(again, resample(noise, 48_000))


def test_silence_stays_silent():
    assert not resample(np.zeros(44_100, dtype=np.int16), 44_100).any()


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 0, -16_000])
def test_other_rates_are_refused(rate_hz):
    with pytest.raises(ValueError, match="16000, 24000, 32000, 44100, 48000"):
        StreamResampler(rate_hz)
