import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.client.replay import AudioSpan, ControlMark, ReplayBuffer
from voiceguard.core.events import AudioFormat, ControlAction, Encoding, Role

MONO = AudioFormat(Encoding.MULAW, 8000, (Role.CUSTOMER,))
STEREO = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT))
CAPACITY_SAMPLES = 80
CAPACITY_S = CAPACITY_SAMPLES / 8000


class Server:
    """The receiving side as the interface describes it, and nothing cleverer."""

    def __init__(self, frame_bytes):
        self.frame_bytes = frame_bytes
        self.received_samples = 0
        self.heard: dict[int, bytes] = {}
        self.held: dict[int, bool] = {}
        self.gaps: list[tuple[int, int]] = []
        self.on_hold = False

    def receive(self, item):
        if isinstance(item, ControlMark):
            self.on_hold = item.action is ControlAction.HOLD
            return
        assert item.first_sample >= self.received_samples - CAPACITY_SAMPLES
        if item.first_sample > self.received_samples:
            self.gaps.append((self.received_samples, item.first_sample))
        for offset in range(len(item.content) // self.frame_bytes):
            sample = item.first_sample + offset
            if sample >= self.received_samples:
                assert sample not in self.heard
                begin = offset * self.frame_bytes
                self.heard[sample] = item.content[begin : begin + self.frame_bytes]
                self.held[sample] = self.on_hold
        end = item.first_sample + len(item.content) // self.frame_bytes
        self.received_samples = max(self.received_samples, end)


class Line:
    """A dialer, a buffer, a stream that delivers when it likes, and a server."""

    def __init__(self, audio_format):
        self.frame_bytes = audio_format.frame_bytes
        self.buffer = ReplayBuffer(audio_format, CAPACITY_S)
        self.server = Server(self.frame_bytes)
        self.under_way = []
        self.spoken = bytearray()
        self.holds = []
        self.on_hold = False
        self.fallen_from = 0
        self.fallen: set[int] = set()

    def speak(self, samples):
        first = len(self.spoken) // self.frame_bytes
        content = b"".join(
            np.uint32(index * 2654435761 % 2**32).tobytes()[: self.frame_bytes]
            for index in range(first, first + samples)
        )
        self.spoken += content
        self.holds += [self.on_hold] * samples
        self.buffer.append(content)
        oldest = max(first + samples - CAPACITY_SAMPLES, 0)
        self.fallen |= set(range(self.fallen_from, oldest))
        self.fallen_from = oldest

    def toggle_hold(self):
        self.on_hold = not self.on_hold
        self.buffer.mark(ControlAction.HOLD if self.on_hold else ControlAction.RESUME)

    def send(self, items):
        for _ in range(items):
            item = self.buffer.next_item(16 * self.frame_bytes)
            if item is None:
                return
            self.under_way.append(item)

    def deliver(self, items):
        for item in self.under_way[:items]:
            self.server.receive(item)
        del self.under_way[:items]

    def break_off(self):
        self.under_way.clear()
        self.buffer.rewind(self.server.received_samples)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(1, 60)),
        st.tuples(st.just("toggle_hold")),
        st.tuples(st.just("send"), st.integers(1, 5)),
        st.tuples(st.just("deliver"), st.integers(1, 5)),
        st.tuples(st.just("break_off")),
    ),
    max_size=60,
)


@given(st.sampled_from([MONO, STEREO]), ACTIONS)
@settings(max_examples=400, deadline=None)
def test_each_sample_arrives_once_or_is_a_gap_that_fell_out_of_the_buffer(audio_format, actions):
    line = Line(audio_format)
    for name, *arguments in actions:
        getattr(line, name)(*arguments)
    line.speak(1)
    line.send(10**6)
    line.deliver(10**6)

    server, spoken = line.server, len(line.spoken) // line.frame_bytes
    assert server.received_samples == spoken
    missing = set(range(spoken)) - set(server.heard)
    assert missing == {i for first, end in server.gaps for i in range(first, end)}
    assert missing <= line.fallen
    assert line.buffer.lost_samples == len(missing)
    assert all(
        content == line.spoken[sample * line.frame_bytes : (sample + 1) * line.frame_bytes]
        for sample, content in server.heard.items()
    )
    assert all(held == line.holds[sample] for sample, held in server.held.items())
    assert server.on_hold == line.on_hold


@given(ACTIONS)
@settings(max_examples=100, deadline=None)
def test_nothing_is_lost_while_no_more_than_the_capacity_waits(actions):
    line = Line(MONO)
    for name, *arguments in actions:
        if name == "speak":
            waiting = line.buffer.end_sample - line.server.received_samples
            arguments = [min(arguments[0], CAPACITY_SAMPLES - waiting)]  # noqa: PLW2901
        getattr(line, name)(*arguments)
    line.send(10**6)
    line.deliver(10**6)
    assert line.server.gaps == []
    assert line.buffer.lost_samples == 0
    assert line.server.received_samples == len(line.spoken)


def test_the_buffer_holds_no_more_than_its_capacity():
    buffer = ReplayBuffer(STEREO, CAPACITY_S)
    fallen = sum(buffer.append(bytes(4 * 30)) for _ in range(10))
    assert buffer.end_sample - buffer.start_sample == CAPACITY_SAMPLES
    assert buffer.unsent_samples == CAPACITY_SAMPLES
    assert fallen == 300 - CAPACITY_SAMPLES
    assert buffer.next_item(4 * 1000) == AudioSpan(220, bytes(4 * 80))
    assert buffer.next_item(4 * 1000) is None


def test_sent_audio_that_falls_out_is_no_loss():
    buffer = ReplayBuffer(MONO, CAPACITY_S)
    for _ in range(10):
        assert buffer.append(bytes(50)) == 0
        assert isinstance(buffer.next_item(1000), AudioSpan)
    assert buffer.lost_samples == 0


def test_an_item_takes_no_more_than_it_may():
    buffer = ReplayBuffer(STEREO, CAPACITY_S)
    buffer.append(bytes(4 * 50))
    sizes = []
    while (item := buffer.next_item(67)) is not None:
        sizes.append(len(item.content))
    assert sizes == [64, 64, 64, 8]


def test_a_session_that_another_process_began_goes_on_where_the_server_is():
    buffer = ReplayBuffer(MONO, CAPACITY_S)
    buffer.begin_at(4711)
    buffer.append(b"abc")
    assert buffer.next_item(1000) == AudioSpan(4711, b"abc")
    assert buffer.lost_samples == 0


def test_a_claim_of_audio_that_never_was_is_refused():
    buffer = ReplayBuffer(MONO, CAPACITY_S)
    buffer.append(b"abc")
    with pytest.raises(ValueError, match="claims 4 samples of 3"):
        buffer.rewind(4)
    assert buffer.next_item(10) == AudioSpan(0, b"abc")


def test_a_new_session_gets_what_is_left_and_the_hold_that_it_never_heard_of():
    buffer = ReplayBuffer(MONO, CAPACITY_S)
    buffer.append(bytes(10))
    buffer.mark(ControlAction.HOLD)
    for _ in range(2):
        buffer.append(bytes(50))
        while buffer.next_item(1000) is not None:
            pass
    buffer.rewind(60)
    buffer.append(bytes(10))
    assert buffer.restart() == 0
    assert buffer.next_item(1000) == ControlMark(10, ControlAction.HOLD)
    assert buffer.next_item(1000) == AudioSpan(60, bytes(60))
    assert buffer.lost_samples == 0
