"""Questions to a board and its answers, over a link that may damage, lose or delay them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from psconv.boards.port import Port
from psconv.boards.protocol import REASONS, Frame, Kind, Reader, Reason
from pymodel.common.errors import ConfigError

TRIES = 8
# Faults of what was asked, which come again however often it is asked. The others are of the link.
_FINAL = frozenset({Reason.BAD_KIND, Reason.BAD_SIZE, Reason.BAD_ORDER, Reason.NO_ANSWER})


class Refused(ConfigError):
    """The board understood what it was asked, and did not do it."""

    def __init__(self, reason: int) -> None:
        known = reason in list(Reason)
        super().__init__(f"the board refused: {REASONS[Reason(reason)] if known else f'unknown reason {reason}'}")
        self.reason = reason


@dataclass(frozen=True)
class Question:
    """A frame that is asked until it is answered."""

    kind: Kind
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes that a question takes in the board's memory."""
        return len(self.payload) + 8


class Link:
    """Asks, and asks again where an answer does not come or is none. Every answer is of its question, in order."""

    def __init__(self, port: Port, timeout: float, silence: float) -> None:
        """timeout: s for an answer. silence: s without a byte after which no late answer is expected."""
        self.port, self.timeout, self.silence = port, timeout, silence
        self.repeated = 0  # times that a question was asked again
        self._reader, self._sequence = Reader(), 0
        self._frames: deque[Frame] = deque()  # that came, and were not looked at

    def ask(self, kind: Kind, payload: bytes = b"") -> bytes:
        """The payload of the answer. Raises as `ask_all`."""
        (answer,) = self.ask_all([Question(kind, payload)], 1 << 16)
        return answer

    def ask_all(self, questions: Iterable[Question], room: int) -> Iterator[bytes]:
        """The payloads of the answers, in order; so many questions are under way as the board has `room` bytes for.

        Raises ConfigError: no answer in TRIES tries; Refused: the board will not do it.
        """
        source, todo = iter(questions), deque[Question]()
        under_way: deque[tuple[int, Question]] = deque()
        tries = 0
        ended = False
        while True:
            while not ended or todo:
                if not todo:
                    following = next(source, None)
                    if following is None:
                        ended = True
                        break
                    todo.append(following)
                if under_way and (tries or sum(one.size for _, one in under_way) + todo[0].size > room):
                    break  # one at a time where the last one was not answered
                under_way.append((self._send(todo[0]), todo.popleft()))
            if not under_way:
                return
            answer = self._answer(under_way[0][0])
            if answer is not None:
                tries = 0
                under_way.popleft()
                yield answer
                continue
            tries += 1
            if tries == TRIES:
                raise ConfigError(
                    f"no answer from the board in {TRIES} tries: is it programmed, is the port its own, is the rate "
                    "that of its bitstream?"
                )
            self._settle()
            self.repeated += len(under_way)
            todo.extendleft(question for _, question in reversed(under_way))
            under_way.clear()

    def _send(self, question: Question) -> int:
        self._sequence = (self._sequence + 1) % 256
        self.port.write(Frame(question.kind, self._sequence, question.payload).to_bytes())
        return self._sequence

    def _answer(self, sequence: int) -> bytes | None:
        """The payload of the answer to the oldest question; None where it does not come as it should."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if frame.kind == Kind.FAULT:
                    reason = frame.payload[0] if frame.payload else 0
                    if frame.sequence == sequence and reason in _FINAL:
                        raise Refused(reason)
                    return None
                if frame.sequence == sequence:
                    return frame.payload
            if not (data := self.port.read(self.timeout)):
                return None
            self._frames.extend(self._reader.take(data))

    def _settle(self) -> None:
        """Drops what the board still says of what was under way; later answers have no number that counts any more."""
        while self.port.read(self.silence):
            pass
        self._reader.drop()
        self._frames.clear()
