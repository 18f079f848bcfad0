"""Speech coded as telephone networks code it, and decoded again.

Whatever a codec delays is taken off, so that every frame stays in its place. Each call
codes one signal from the codec's initial state: the same samples give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceguard.core.audio import ALAW_TABLE, MULAW_TABLE
from voiceguard.core.errors import VoiceguardError
from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame

Samples = NDArray[np.float32]
"""Mono sound in [-1, 1] at `SAMPLE_RATE_HZ`."""

MULAW: Final = "mulaw"
ALAW: Final = "alaw"

AMR_NB_BIT_RATES: Final = (4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200)
"""The eight modes of AMR-NB in bit/s (3GPP TS 26.071)."""

OPUS_BIT_RATES: Final = (6000, 12000)
"""Lowest and highest bit/s at which Opus codes narrowband speech here (RFC 6716, section 2.1.1)."""


class CodecError(VoiceguardError):
    """A codec is not installed, or cannot do what it was asked for; the message says what to do."""


def through_g711(samples: Samples, law: str = MULAW) -> Samples:
    """Code with ITU-T G.711 and decode (`MULAW` or `ALAW`)."""
    return _G711[law][_to_int(samples).astype(np.int32) + 32768]


def through_int16(samples: Samples) -> Samples:
    """Round to 16 bits, clipping what is louder than full scale."""
    return np.asarray(_to_int(samples) / FULL_SCALE, np.float32)


def through_gsm_fr(samples: Samples) -> Samples:
    """Code with GSM full rate at 13 kbit/s (ETSI EN 300 961) and decode.

    Raises:
        CodecError: this libsndfile lacks GSM 6.10.
    """
    coded = io.BytesIO()
    raw = {"samplerate": SAMPLE_RATE_HZ, "subtype": "GSM610", "format": "RAW"}
    try:
        soundfile.write(coded, _to_int(_padded(samples, 0)), **raw)
        coded.seek(0)
        decoded, _ = soundfile.read(coded, dtype="float32", channels=1, **raw)
    except soundfile.SoundFileError as error:
        raise CodecError(
            f"libsndfile cannot code GSM 6.10 ({error}); install soundfile's own wheel"
        ) from error
    return np.asarray(decoded[: len(samples)], np.float32)


def through_amr_nb(samples: Samples, bit_rate: int) -> Samples:
    """Code with AMR-NB (3GPP TS 26.071) in one of `AMR_NB_BIT_RATES` and decode.

    Raises:
        CodecError: there is no such mode, or the codec is not installed.
    """
    if bit_rate not in AMR_NB_BIT_RATES:
        modes = ", ".join(map(str, AMR_NB_BIT_RATES))
        raise CodecError(f"AMR-NB has no mode of {bit_rate} bit/s; choose one of {modes}")
    return _through(_AMR_NB, samples, bit_rate)


def through_opus(samples: Samples, bit_rate: int) -> Samples:
    """Code with Opus (RFC 6716), narrowband speech within `OPUS_BIT_RATES`, and decode.

    Raises:
        CodecError: the bit rate is out of range, or the codec is not installed.
    """
    lowest, highest = OPUS_BIT_RATES
    if not lowest <= bit_rate <= highest:
        raise CodecError(f"Opus codes at {lowest} to {highest} bit/s here, not at {bit_rate}")
    return _through(_OPUS, samples, bit_rate)


@dataclass(frozen=True, slots=True)
class _Codec:
    """A codec of FFmpeg's that takes frames of 20 ms."""

    encoder: str
    decoder: str
    delay_samples: int
    """How much later than the input the decoder's output is, measured by cross-correlation."""
    options: Mapping[str, str] = field(default_factory=dict)


_AMR_NB: Final = _Codec("libopencore_amrnb", "amrnb", delay_samples=40)
# FFmpeg cuts off Opus's delay itself. Complexity 5 is what WebRTC chooses on telephones.
_OPUS: Final = _Codec(
    "libopus", "libopus", delay_samples=0, options={"application": "voip", "compression_level": "5"}
)


def _through(codec: _Codec, samples: Samples, bit_rate: int) -> Samples:
    """Return `samples` coded and decoded in frames of 20 ms."""
    pcm = _to_int(_padded(samples, codec.delay_samples))
    encoder = _context(codec.encoder, "w")
    encoder.format = "s16"
    encoder.bit_rate = bit_rate
    encoder.options = dict(codec.options)
    packets = [packet for frame in _frames(pcm) for packet in encoder.encode(frame)]
    packets += encoder.encode(None)
    decoder = _context(codec.decoder, "r")
    decoder.extradata = encoder.extradata
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded = _joined(frames)[codec.delay_samples :][: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded)))


def _context(name: str, mode: Literal["r", "w"]) -> AudioCodecContext:
    """Return a fresh encoder (mode "w") or decoder ("r") of 8 kHz mono.

    Raises:
        CodecError: PyAV is not installed, or its FFmpeg was built without this codec.
    """
    try:
        import av  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise CodecError(
            f"{name} needs PyAV; install it: pip install 'voiceguard[training]'"
        ) from error
    try:
        context = cast("AudioCodecContext", av.CodecContext.create(name, mode))
    except ValueError as error:
        raise CodecError(
            f"PyAV's FFmpeg lacks {name}; install PyAV's own wheel: pip install --only-binary av av"
        ) from error
    context.sample_rate = SAMPLE_RATE_HZ
    context.layout = "mono"
    return context


def _frames(pcm: NDArray[np.int16]) -> list[AudioFrame]:
    """Cut into frames of 20 ms."""
    from av.audio.frame import AudioFrame  # noqa: PLC0415 (an extra)

    frames = []
    for start in range(0, len(pcm), FRAME_SAMPLES):
        frame = AudioFrame.from_ndarray(pcm[None, start : start + FRAME_SAMPLES], "s16", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = start
        frames.append(frame)
    return frames


def _joined(frames: Sequence[AudioFrame]) -> Samples:
    """Return decoded frames as one signal at 8 kHz; libopus decodes at 48 kHz only."""
    if not frames:
        return np.zeros(0, np.float32)
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    scale = FULL_SCALE if decoded.dtype == np.int16 else 1.0
    signal = np.asarray(decoded / scale, np.float32)
    resampled = soxr.resample(signal, frames[0].sample_rate, SAMPLE_RATE_HZ)
    return np.asarray(np.clip(resampled, -1.0, 32767 / FULL_SCALE), np.float32)


def _padded(samples: Samples, delay_samples: int) -> Samples:
    """Return `samples` and as much silence as brings their end out of a codec in whole frames."""
    return np.pad(samples, (0, delay_samples + -(len(samples) + delay_samples) % FRAME_SAMPLES))


def _to_int(samples: Samples) -> NDArray[np.int16]:
    return np.clip(np.round(samples * FULL_SCALE), -32768, 32767).astype(np.int16)


def _g711_round_trip(table: NDArray[np.int16]) -> Samples:
    """Return what each of the 65536 sample values becomes when it is coded and decoded."""
    values = np.unique(table).astype(np.float64)
    edges = (values[1:] + values[:-1]) / 2
    coded = values[np.searchsorted(edges, np.arange(-32768, 32768))]
    return np.asarray(coded / FULL_SCALE, np.float32)


_G711: Final = {MULAW: _g711_round_trip(MULAW_TABLE), ALAW: _g711_round_trip(ALAW_TABLE)}
