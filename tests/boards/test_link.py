"""The host's side of the link against a port of the test's own: asking again, answers in order, what is refused."""

from __future__ import annotations

from collections import deque

import pytest

from psconv.boards.link import TRIES, Link, Question, Refused
from psconv.boards.protocol import Frame, Kind, Reader, Reason
from pymodel.common.errors import ConfigError

ROOM = 100


class Far:
    """The other end: `does` makes the answer's bytes of each frame that comes."""

    def __init__(self, does) -> None:
        self.does, self.out, self.reader = does, deque(), Reader()
        self.waiting = self.most = 0

    def write(self, data: bytes) -> None:
        for frame in self.reader.take(data):
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.out.append(self.does(frame))

    def read(self, timeout: float) -> bytes:
        if not self.out:
            return b""
        self.waiting -= 1
        return self.out.popleft()

    def wait(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass


def echo(frame: Frame) -> bytes:
    return Frame(Kind.SCORES, frame.sequence, frame.payload).to_bytes()


def asked(far: Far, count: int = 20) -> list[bytes]:
    questions = (Question(Kind.PACKET, bytes([k])) for k in range(count))
    return list(Link(far, 1, 1).ask_all(questions, ROOM))


def test_answers_are_in_order_and_no_more_is_under_way_than_there_is_room() -> None:
    far = Far(echo)
    assert asked(far) == [bytes([k]) for k in range(20)]
    assert far.most == ROOM // 9  # nine bytes a question


@pytest.mark.parametrize("every", [2, 3, 7])
@pytest.mark.parametrize("how", ["silence", "damage", "fault", "cut"])
def test_what_is_lost_is_asked_again(every: int, how: str) -> None:
    count = 0

    def does(frame: Frame) -> bytes:
        nonlocal count
        count += 1
        if count % every:
            return echo(frame)
        if how == "silence":
            return b"\xc0"
        if how == "fault":
            return Frame(Kind.FAULT, 0, bytes([Reason.BAD_CRC])).to_bytes()
        octets = bytearray(echo(frame))
        if how == "cut":
            return bytes(octets[:5])
        octets[4] ^= 1
        return bytes(octets)

    assert asked(Far(does)) == [bytes([k]) for k in range(20)]


def test_an_old_answer_is_no_new_one() -> None:
    late: list[bytes] = []

    def does(frame: Frame) -> bytes:
        late.append(echo(frame))
        return late.pop(0) if len(late) > 3 else b"\xc0"

    with pytest.raises(ConfigError, match=f"no answer from the board in {TRIES} tries"):
        asked(Far(does), 1)


def test_nothing_at_all() -> None:
    with pytest.raises(ConfigError, match=r"no answer .* is it programmed, is the port its own, is the rate"):
        asked(Far(lambda frame: b""))


@pytest.mark.parametrize("reason", [Reason.BAD_SIZE, Reason.BAD_KIND, Reason.NO_ANSWER])
def test_what_the_board_will_not_do(reason: Reason) -> None:
    far = Far(lambda frame: Frame(Kind.FAULT, frame.sequence, bytes([reason])).to_bytes())
    with pytest.raises(Refused, match="the board refused") as caught:
        asked(far)
    assert caught.value.reason == reason
