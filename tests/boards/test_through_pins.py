"""A network behind the serial line of a board: every score exact, whatever the line does, and nothing ever stuck."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from psconv.api.bundle import Bundle
from psconv.boards.build import as_verilog, synthesise
from psconv.boards.host import Board
from psconv.boards.link import Refused
from psconv.boards.protocol import END, ESC, OVERHEAD, PART, Frame, Kind, Reader, Reason, escaped
from psconv.boards.simulate import simulator
from psconv.synthesis.targets import load_board
from pymodel.common.errors import ConfigError
from pymodel.common.records import write_npz
from pymodel.top.packets import weight_beats
from tests.helpers.boards import BOARD, FRAME_MS, SILENCE, TIMEOUT, as_device, images_for, on_board, small


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return on_board(small(), tmp_path_factory.mktemp("rom"))


@pytest.fixture(scope="module")
def loading(tmp_path_factory):
    return on_board(small(), tmp_path_factory.mktemp("loaded"), loaded=True)


def host(port, bundle) -> Board:
    return Board(port, bundle, timeout=TIMEOUT, silence=SILENCE)


def expected(bundle, images):
    return Bundle.of(bundle).predict(images)


@pytest.mark.parametrize("skew", [-0.025, 0.0, 0.025])
def test_scores_are_those_of_the_golden_model(built, skew: float) -> None:
    """At the fastest rate that the clock allows, and with a host whose rate is not quite the board's."""
    images = images_for(built.bundle, 12)
    with built.port(skew=skew) as port, host(port, built.bundle) as board:
        np.testing.assert_array_equal(board.predict(images), expected(built.bundle, images))
        assert board.info == built.shell.info and board.link.repeated == 0
        answers = list(board.answers(images[:2]))
        assert answers[0].cycles == answers[1].cycles > built.shell.image_bytes


def test_by_the_command_line_and_a_serial_port(built, psconv, tmp_path) -> None:
    """psconv classify, unmodified, at a pseudo terminal; once more with another bundle, and with none at all."""
    images = images_for(built.bundle, 9)
    labels = expected(built.bundle, images).argmax(axis=1)
    write_npz(tmp_path / "images.npz", images=images, labels=labels)
    built.bundle.save(tmp_path / "own.yaml")
    small(4).save(tmp_path / "other.yaml")
    with built.port() as port, as_device(port) as device:
        own, other = (
            ("classify", str(tmp_path / "images.npz"), "--bundle", str(tmp_path / name), "--port", device)
            for name in ("own.yaml", "other.yaml")
        )
        code, out, err = psconv(*own, "--check", "--json")
        assert code == 0, err
        found = json.loads(out)
        assert (found["images"], found["exact"], found["accuracy"]) == (9, 9, 1.0)
        assert found["classes"] == labels.tolist() and found["MHz"] == 48
        code, out, err = psconv(*other)
        assert code == 2 and "the board: must have the network net of the bundle" in err


def bad_frames(built) -> dict[str, tuple[bytes, Reason]]:
    """Bytes that are no question, or one that the board will not do, with what it must say."""
    size = built.shell.image_bytes
    image = PART.pack(0, 1) + bytes(range(size))
    good = bytearray(Frame(Kind.PACKET, 9, image).to_bytes())
    flipped = bytearray(good)
    flipped[20] ^= 4
    large = Frame(Kind.PACKET, 9, bytes(1 << built.shell.fifo_bits)).to_bytes()
    plain = Frame(Kind.PACKET, 9, image).to_bytes()[1:-1]
    return {
        "a bit flipped": (bytes(flipped), Reason.BAD_CRC),
        "a byte lost": (bytes(good[:30] + good[31:]), Reason.BAD_CRC),
        "a byte doubled": (bytes(good[:30] + good[29:]), Reason.BAD_CRC),
        "cut short": (bytes(good[:-9]) + bytes([END]), Reason.BAD_CRC),
        "too short for a frame": (bytes([END, 1, 2, 3, END]), Reason.BAD_CRC),
        "an escape of nothing": (bytes(good[:20]) + bytes([ESC, 1]) + bytes(good[22:]), Reason.BAD_BYTE),
        "an escape at the end": (plain[:20] + bytes([ESC, END]), Reason.BAD_BYTE),
        "larger than the room": (large, Reason.TOO_LONG),
        "a length that is not so": (_with_length(image, len(image) + 1), Reason.BAD_LENGTH),
        "an unknown kind": (Frame(0x55, 9).to_bytes(), Reason.BAD_KIND),
        "an answer": (Frame(Kind.SCORES, 9, b"12345678").to_bytes(), Reason.BAD_KIND),
        "a kind of the board's own": (Frame(Kind.BROKEN, 9).to_bytes(), Reason.BAD_KIND),
        "an image too small": (Frame(Kind.PACKET, 9, image[:-1]).to_bytes(), Reason.BAD_SIZE),
        "an image too large": (Frame(Kind.PACKET, 9, image + b"1").to_bytes(), Reason.BAD_SIZE),
        "no part at all": (Frame(Kind.PACKET, 9).to_bytes(), Reason.BAD_SIZE),
        "another part": (Frame(Kind.PACKET, 9, PART.pack(1, 1) + image[3:]).to_bytes(), Reason.BAD_ORDER),
        "half an image": (Frame(Kind.PACKET, 9, PART.pack(0, 0) + image[3:]).to_bytes(), Reason.BAD_ORDER),
        "a question with a payload": (Frame(Kind.HELLO, 9, b"1").to_bytes(), Reason.BAD_SIZE),
    }


def _with_length(payload: bytes, length: int) -> bytes:
    """A frame whose header tells another length; its check sum is right."""
    import zlib

    plain = bytes([Kind.PACKET, 9]) + length.to_bytes(2, "little") + payload
    return escaped(plain + zlib.crc32(plain).to_bytes(4, "little"))


def test_what_is_no_question_is_answered_and_the_next_one_works(built) -> None:
    images = images_for(built.bundle, 1)
    right = expected(built.bundle, images)
    with built.port() as port, host(port, built.bundle) as board:
        for what, (data, reason) in bad_frames(built).items():
            port.write(data)
            reader, found = Reader(), []
            while not found and (got := port.read(TIMEOUT)):
                found += reader.take(got)
            assert [(frame.kind, frame.payload) for frame in found] == [(Kind.FAULT, bytes([reason]))], what
            np.testing.assert_array_equal(board.predict(images), right, what)
            assert board.link.repeated == 0, what


def test_a_host_that_stops_in_the_middle(built) -> None:
    """After FRAME_MS the board says so; a host that goes on before is not waited for either."""
    images = images_for(built.bundle, 1)
    right = expected(built.bundle, images)
    question = Frame(Kind.PACKET, 9, PART.pack(0, 1) + bytes(built.shell.image_bytes)).to_bytes()
    with built.port() as port, host(port, built.bundle) as board:
        for length in (2, 5, len(question) // 2, len(question) - 1):
            start = port.cycles
            port.write(question[:length])
            (fault,) = Reader().take(port.read(TIMEOUT) + _rest(port))
            assert (fault.kind, fault.payload) == (Kind.FAULT, bytes([Reason.TIMED_OUT]))
            assert port.cycles - start > FRAME_MS * built.shell.mhz * 1000
            port.write(question[:length])
            np.testing.assert_array_equal(board.predict(images), right)


def _rest(port) -> bytes:
    return b"".join(iter(lambda: port.read(SILENCE), b""))


def test_the_button_at_any_time(built) -> None:
    """Pressed while a frame comes in, while the engine works, while an answer goes out: the next frame works."""
    images = images_for(built.bundle, 1)
    right = expected(built.bundle, images)
    question = Frame(Kind.PACKET, 9, PART.pack(0, 1) + bytes(built.shell.image_bytes)).to_bytes()
    with built.port() as port, host(port, built.bundle) as board:
        for at in np.random.default_rng(1).integers(1, len(question) * 80 * 3, 12):
            port.write(question)
            port.wait(int(at) / 48e6)
            port.reset()
            np.testing.assert_array_equal(board.predict(images), right)


def under_errors(built, frames: int, flip: float, lost: float, resets: int, seed: int) -> int:
    """So many images over a bad line, every score compared; how many questions were asked again."""
    rng = random.Random(seed)
    images = images_for(built.bundle, frames, seed)
    right = expected(built.bundle, images)
    pressed = set(rng.sample(range(frames), resets))
    with built.port(seed=seed) as port, host(port, built.bundle) as board:
        port.errors(flip, lost)
        for at, answer in enumerate(board.answers(images)):
            np.testing.assert_array_equal(answer.scores.reshape(-1), right[at])
            if at in pressed:
                port.reset()
        assert at == frames - 1
        return board.link.repeated


def test_a_line_with_errors(built) -> None:
    assert under_errors(built, 60, flip=3e-4, lost=3e-4, resets=2, seed=2) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_frames_over_a_line_with_errors(built, seed: int) -> None:
    """A question and its answer are some 550 bits: one in four is lost at most, and eight in a row are given up."""
    flip, lost = ((4e-4, 0), (0, 3e-3), (3e-4, 1e-3), (1e-4, 1e-4))[seed]
    assert under_errors(built, 1000, flip, lost, resets=20, seed=seed) > 10


@pytest.mark.slow
def test_a_line_that_is_too_bad_is_given_up(built) -> None:
    """Four in five are lost: told, with no wrong score before, and on a good line the next image is right."""
    images = images_for(built.bundle, 100)
    right = expected(built.bundle, images)
    with built.port() as port, host(port, built.bundle) as board:
        port.errors(3e-3, 0)
        done = 0
        with pytest.raises(ConfigError, match="no answer from the board in 8 tries"):
            for answer in board.answers(images):
                np.testing.assert_array_equal(answer.scores.reshape(-1), right[done])
                done += 1
        assert done < len(images)
        port.errors(0, 0)
        np.testing.assert_array_equal(board.predict(images), right)


@pytest.mark.slow
def test_the_netlist_of_yosys(built, tmp_path) -> None:
    """What goes into place and route, with the cells' models in the place of the RTL."""
    target, board = load_board(BOARD)
    cells = synthesise(built.files, target)
    assert cells["DSP"] > 0 and cells["BRAM"] > 0
    program = simulator([as_verilog(built.files.netlist, tmp_path)], built.cache, active_low=board.reset.active_low)
    images = images_for(built.bundle, 4)
    with built.port(program=program) as port, host(port, built.bundle) as netlist:
        np.testing.assert_array_equal(netlist.predict(images), expected(built.bundle, images))


def test_an_engine_that_does_not_move(built, tmp_path) -> None:
    """It is reset, the host is told, and the board goes on answering."""
    names = {path.name for path in built.files.rtl}
    top = next(path for path in built.files.rtl if path.name == "board.sv").read_text()
    engine = top.split(") around (")[1].split(");")[1].split()[0]
    (tmp_path / "stuck.sv").write_text(
        f"module {engine} (input ap_clk, ap_rst_n, input [{8 * built.shell.info.x_bytes - 1}:0] x_TDATA,\n"
        "  input x_TVALID, x_TLAST, x_TKEEP, x_TSTRB, output x_TREADY,\n"
        f"  output [{8 * built.shell.info.y_bytes - 1}:0] fc_TDATA, output fc_TVALID, fc_TLAST, fc_TKEEP, fc_TSTRB,\n"
        "  input fc_TREADY);\n  assign x_TREADY = 1'b1;\nendmodule\n".replace("fc_", _sink(built))
    )
    own = [path for path in built.files.rtl if not path.stem.startswith(engine)]
    assert len(own) < len(names)
    _, board = load_board(BOARD)
    program = simulator([*own, tmp_path / "stuck.sv"], built.cache, active_low=board.reset.active_low)
    with built.port(program=program) as port, host(port, built.bundle) as stuck:
        for _ in range(2):
            with pytest.raises(Refused, match="the engine did not move and was reset"):
                stuck.predict(images_for(built.bundle, 1))
        stuck.restart()


def _sink(built) -> str:
    return f"{built.shell.design.dataflow.sink.name}_"


@pytest.mark.slow
def test_weights_by_the_same_link(loading) -> None:
    """Two trainings, a line with errors, damaged weights, a host that stops between two parts."""
    first, second = loading.bundle, small(8)
    dataflow = loading.shell.design.dataflow
    images = images_for(first, 5)
    with loading.port() as port, host(port, first) as board:
        with pytest.raises(ConfigError, match="no valid weights"):
            board.predict(images)
        for bundle in (first, second, first):
            beats = weight_beats(dataflow, bundle)
            board.load_weights(beats)
            np.testing.assert_array_equal(board.predict(images), expected(bundle, images))
        damaged = beats.copy()
        damaged[len(damaged) // 2, 0] ^= 1
        with pytest.raises(ConfigError, match="no valid weights"):
            board.load_weights(damaged)
        with pytest.raises(ConfigError, match="no valid weights"):
            board.predict(images)
        board.link.ask(Kind.PACKET, PART.pack(0, 0) + b"\1" * 7)  # and then nothing more
        port.errors(2e-4, 2e-4)
        board.load_weights(weight_beats(dataflow, second))
        np.testing.assert_array_equal(board.predict(images), expected(second, images))
        board.restart()
        with pytest.raises(ConfigError, match="no valid weights"):
            board.predict(images)


def test_overhead_is_that_of_the_ring(built) -> None:
    """Two images at least fit the board's memory, as the host reckons."""
    assert 2 * (built.shell.image_bytes + PART.size + OVERHEAD) <= built.shell.info.fifo_bytes
