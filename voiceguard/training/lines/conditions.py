"""Named telephone conditions to measure a model under.

The same clip under the same condition is the same bytes whenever, and in whatever order,
it is asked for: the generator is seeded with both names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from voiceguard.core.errors import VoiceguardError
from voiceguard.training.lines.codecs import (
    ALAW,
    Samples,
    through_amr_nb,
    through_g711,
    through_gsm_fr,
    through_opus,
)
from voiceguard.training.lines.impairments import (
    amplified,
    band_passed,
    compressed,
    in_room,
    mixed,
    of_unit_power,
    overdriven,
    pink_noise,
    room_response,
)
from voiceguard.training.lines.loss import (
    Lost,
    concealed,
    lost_in_bursts,
    lost_singly,
    packets_in,
    silenced,
)
from voiceguard.training.lines.sounds import Sounds, excerpt, one_of

BAND_HZ: Final = (300.0, 3400.0)
"""The classic telephone band (ITU-T G.120 and G.712)."""

BURST_PACKETS: Final = 3.0
"""Mean length of a burst of lost packets: 60 ms."""

CLIPPING_DB: Final = 12.0
"""How far beyond full scale the highest peak would be without clipping."""


ROOM_RT60_S: Final = 0.3
SPEAKERPHONE_RT60_S: Final = 0.5

_BABBLE_VOICES: Final = 4
_DIRECT_DB: Final = 3.0
_SPEAKERPHONE_DIRECT_DB: Final = -3.0
_SPEAKERPHONE_NOISE_DB: Final = 20.0
_AGC_TARGET_DB: Final = -20.0
_AGC_RATIO: Final = 4.0
_AGC_MOST_DB: Final = 15.0


class ConditionError(VoiceguardError):
    """A condition does not exist, or lacks what it is made of; the message says which."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a condition may draw from."""

    rng: np.random.Generator
    sounds: Sounds
    """Recorded noises; without any, noise is pink only."""
    others: Sequence[Samples]
    """Speech of other people, for babble and echo. Their order matters."""


Change = Callable[[Samples, Scene], Samples]
"""What happens to speech on its way to the codec."""


def _nothing(samples: Samples, _: Scene) -> Samples:
    return samples


@dataclass(frozen=True, slots=True)
class Condition:
    """One way in which a telephone line changes speech."""

    name: str
    title: str
    change: Change = _nothing
    code: Callable[[Samples], Samples] = through_g711
    extreme: bool = False
    """Beyond what the model promises to stand."""

    def carry(
        self,
        samples: Samples,
        rng: np.random.Generator,
        sounds: Sounds,
        others: Sequence[Samples],
    ) -> Samples:
        """Return `samples` as they arrive; see `Scene` for what is drawn from.

        Raises:
            ConditionError: there is nothing to carry, or nobody for babble and echo.
            CodecError: the condition's codec is not installed.
        """
        if samples.ndim != 1 or not len(samples) or not np.isfinite(samples).all():
            raise ConditionError(f"{self.name} carries finite samples of one channel, at least one")
        return self.code(self.change(samples, Scene(rng, sounds, others)))

    def heard(
        self, samples: Samples, clip_id: str, sounds: Sounds, others: Sequence[Samples]
    ) -> Samples:
        """Return a clip as it arrives: the same bytes for the same `clip_id` and sounds.

        Args:
            samples: the clip.
            clip_id: what tells it from all others, wherever its file lies.
            sounds: see `Scene`.
            others: see `Scene`.

        Raises:
            ConditionError: as `carry` does.
            CodecError: as `carry` does.
        """
        digest = hashlib.sha256(f"{self.name}\n{clip_id}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:16], "big"))
        return self.carry(samples, rng, sounds, others)


def condition_named(name: str) -> Condition:
    """Return one of `CONDITIONS`.

    Raises:
        ConditionError: none has this name.
    """
    for condition in CONDITIONS:
        if condition.name == name:
            return condition
    names = ", ".join(condition.name for condition in CONDITIONS)
    raise ConditionError(f"no condition {name!r}; choose one of {names}")


def _always(change: Callable[[Samples], Samples]) -> Change:
    """Return a change that draws nothing."""
    return lambda samples, _: change(samples)


def _with_noise(snr_db: float) -> Change:
    return lambda samples, scene: mixed(samples, _room_noise(len(samples), scene), snr_db)


def _room_noise(length: int, scene: Scene) -> Samples:
    """Return pink noise and a recorded one in equal shares; pink alone if none is recorded."""
    pink = pink_noise(length, scene.rng)
    if not scene.sounds.noises:
        return pink
    recorded = excerpt(one_of(scene.sounds.noises, scene.rng), length, scene.rng)
    return pink + of_unit_power(recorded)


def _with_voices(voices: int, snr_db: float) -> Change:
    """Add other people's speech: one voice is the other party's echo, several are babble."""

    def change(samples: Samples, scene: Scene) -> Samples:
        talking = [other for other in scene.others if len(other)]
        if not talking:
            raise ConditionError("babble and echo are made of other people's speech; give some")
        mixture = np.zeros(len(samples), np.float32)
        for _ in range(voices):
            voice = excerpt(one_of(talking, scene.rng), len(samples), scene.rng)
            mixture += of_unit_power(voice)
        return mixed(samples, mixture, snr_db)

    return change


def _with_loss(
    lose: Callable[[int, np.random.Generator], Lost], replace: Callable[[Samples, Lost], Samples]
) -> Change:
    """Lose packets of G.711, and mend that as `replace` does."""

    def change(samples: Samples, scene: Scene) -> Samples:
        sent = through_g711(samples)
        return replace(sent, lose(packets_in(sent), scene.rng))

    return change


def _in_short_room(samples: Samples, scene: Scene) -> Samples:
    return in_room(samples, room_response(ROOM_RT60_S, _DIRECT_DB, scene.rng))


def _on_speakerphone(samples: Samples, scene: Scene) -> Samples:
    response = room_response(SPEAKERPHONE_RT60_S, _SPEAKERPHONE_DIRECT_DB, scene.rng)
    noise = _room_noise(len(samples), scene)
    picked_up = mixed(in_room(samples, response), noise, _SPEAKERPHONE_NOISE_DB)
    return compressed(band_passed(picked_up, *BAND_HZ), _AGC_TARGET_DB, _AGC_RATIO, _AGC_MOST_DB)


def _codecs() -> Iterator[Condition]:
    for name, title, code in (
        ("clean", "G.711 mu-law and nothing else", through_g711),
        ("g711-a", "G.711 A-law", partial(through_g711, law=ALAW)),
        ("amr-nb-12.2", "AMR-NB, 12.2 kbit/s", partial(through_amr_nb, bit_rate=12200)),
        ("amr-nb-4.75", "AMR-NB, 4.75 kbit/s", partial(through_amr_nb, bit_rate=4750)),
        ("gsm-fr", "GSM full rate, 13 kbit/s", through_gsm_fr),
        ("opus-12", "Opus, narrowband, 12 kbit/s", partial(through_opus, bit_rate=12000)),
        ("opus-6", "Opus, narrowband, 6 kbit/s", partial(through_opus, bit_rate=6000)),
    ):
        yield Condition(name, title, code=code)


def _losses() -> Iterator[Condition]:
    for suffix, ending, replace in (
        ("", "silence instead", silenced),
        ("-concealed", "concealed", concealed),
    ):
        for percent in (1, 3, 5, 10):
            yield Condition(
                f"loss-{percent}{suffix}",
                f"{percent} % of packets lost singly, {ending}",
                _with_loss(partial(lost_singly, rate=percent / 100), replace),
                extreme=percent == 10,
            )
        bursts = partial(lost_in_bursts, rate=0.05, mean_burst_packets=BURST_PACKETS)
        yield Condition(
            f"burst-loss-5{suffix}",
            f"5 % of packets lost, in bursts of 3 on average, {ending}",
            _with_loss(bursts, replace),
        )


def _surroundings() -> Iterator[Condition]:
    for snr_db in (30, 20, 10, 5, 0):
        yield Condition(
            f"noise-{snr_db}",
            f"recorded and pink noise, {snr_db} dB below the speech",
            _with_noise(snr_db),
            extreme=snr_db == 0,
        )
    for snr_db in (20, 10):
        title = f"babble of {_BABBLE_VOICES} voices, {snr_db} dB below the speech"
        yield Condition(f"babble-{snr_db}", title, _with_voices(_BABBLE_VOICES, snr_db))
    yield Condition("echo-30", "the other party 30 dB below the speech", _with_voices(1, 30.0))
    yield Condition("room", "a short room, RT60 0.3 s", _in_short_room)
    yield Condition(
        "speakerphone",
        "a room of RT60 0.5 s, noise 20 dB below, 300 to 3400 Hz, automatic gain control",
        _on_speakerphone,
    )


def _levels() -> Iterator[Condition]:
    for name, gain_db in (
        ("gain-down-24", -24),
        ("gain-down-12", -12),
        ("gain-up-6", 6),
        ("gain-up-12", 12),
    ):
        change = _always(partial(amplified, gain_db=gain_db))
        yield Condition(name, f"gain of {gain_db:+d} dB, clipped at full scale", change)
    yield Condition(
        "clipping",
        "overdriven: the highest peak 12 dB beyond full scale",
        _always(partial(overdriven, excess_db=CLIPPING_DB)),
    )


_BAND = Condition(
    "band-300-3400",
    "300 to 3400 Hz",
    _always(partial(band_passed, low_hz=BAND_HZ[0], high_hz=BAND_HZ[1])),
)

CONDITIONS: Final[Sequence[Condition]] = (
    *_codecs(),
    _BAND,
    *_losses(),
    *_surroundings(),
    *_levels(),
)
"""All conditions, `clean` first: the others are compared with it."""
