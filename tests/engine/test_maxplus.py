"""The max-plus solver against a simulation that looks at every process in every cycle."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymodel.engine.maxplus import Deadlock, Link, Orbit, Process, Timeline, interval, keeps, occupancy, settle

CYCLES = 20_000  # more than these runs take


def run(chain: list[Process], links: dict[str, Link], images: int) -> dict[str, list[int]] | None:
    """Issue times of all iterations, by process; None where they stand still."""
    words = {stream: deque() for stream in links}  # cycles from which each can be popped
    credits = {stream: deque([0] * (link.depth or CYCLES)) for stream, link in links.items()}
    reads = [{s: set(at.tolist()) for s, at in process.reads.items()} for process in chain]
    writes = [{s: set(at.tolist()) for s, at in process.writes.items()} for process in chain]
    at, times = [0] * len(chain), {process.name: [] for process in chain}
    for now in range(CYCLES):
        for i, process in enumerate(chain):
            if at[i] == images * process.iterations:
                continue
            iteration = at[i] % process.iterations
            popped = [s for s, those in reads[i].items() if s in links and iteration in those]
            pushed = [s for s, those in writes[i].items() if s in links and iteration in those]
            if all(words[s] and words[s][0] <= now for s in popped) and all(
                credits[s] and credits[s][0] <= now for s in pushed
            ):
                for s in popped:
                    words[s].popleft()
                    credits[s].append(now + 1)
                for s in pushed:
                    credits[s].popleft()
                    words[s].append(now + links[s].stage + 1)
                times[process.name].append(now)
                at[i] += 1
        if all(done == images * process.iterations for done, process in zip(at, chain, strict=True)):
            return times
    return None


@st.composite
def diamonds(draw: st.DrawFn) -> tuple[list[Process], dict[str, Link]]:
    """A fork, a path of one process, and a join that reads its two streams at different iterations."""
    words = draw(st.integers(1, 6))

    def some(iterations: int) -> np.ndarray:
        chosen = draw(st.sets(st.integers(0, iterations - 1), min_size=words, max_size=words))
        return np.array(sorted(chosen))

    sizes = [draw(st.integers(words, 3 * words)) for _ in range(3)]
    chain = [
        Process("fork", sizes[0], {}, {"long": some(sizes[0]), "short": some(sizes[0])}),
        Process("path", sizes[1], {"long": some(sizes[1])}, {"end": some(sizes[1])}),
        Process("join", sizes[2], {"end": some(sizes[2]), "short": some(sizes[2])}, {}),
    ]
    depth = st.integers(1, 8)
    links = {name: Link(draw(st.integers(0, 7)), draw(depth)) for name in ("long", "short", "end")}
    return chain, links


@given(graph=diamonds(), images=st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_times_are_those_of_the_simulation(graph, images: int) -> None:
    chain, links = graph
    expected = run(chain, links, images)
    lines = [Timeline([process] * images) for process in chain]
    if expected is None:
        with pytest.raises(Deadlock, match="waits for ever"):
            settle(lines, links)
        return
    settle(lines, links)
    for line in lines:
        for stream, events in line.accesses.items():
            assert line.times(stream).tolist() == [expected[line.process.name][i] for i in line.iteration[events]]


def period_of(chain: list[Process]) -> int:
    return max(process.iterations for process in chain)


def orbits(chain: list[Process], links: dict[str, Link]) -> list[Orbit]:
    """The times that all images keep at the slowest process's interval, the first one having no word to wait for."""
    lines = [Orbit(process, period_of(chain)) for process in chain]
    for stream in chain[0].writes:
        lines[0].raise_to(stream, chain[0].writes[stream])
    settle(lines, links)
    return lines


@given(graph=diamonds(), more=st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_occupancy_is_a_depth_that_changes_nothing(graph, more: int) -> None:
    """With the occupancy of endless streams as depth the times stay; with a word less, some write waits."""
    chain, links = graph
    endless = {stream: Link(link.stage, None) for stream, link in links.items()}
    free = orbits(chain, endless)
    for name in links:
        producer = next(line for line in free if name in line.process.writes)
        consumer = next(line for line in free if name in line.process.reads)
        depth = occupancy(producer, consumer, name)
        for wanted, waits in ((depth + more, False), (depth - 1, True)):
            if wanted < 1:
                continue
            fixed = [line.copy() for line in free]
            alone = dict(endless.items()) | {name: Link(links[name].stage, wanted)}
            assert settle(fixed, alone, fixed[chain.index(producer.process)]) is not waits


@given(graph=diamonds())
@settings(max_examples=60, deadline=None)
def test_occupancies_keep_the_interval_for_ever(graph) -> None:
    """Simulated cycle by cycle: nothing stands still, and the slowest process comes to work in every cycle."""
    chain, links = graph
    free = orbits(chain, {stream: Link(link.stage, None) for stream, link in links.items()})
    for name in links:
        producer = next(line for line in free if name in line.process.writes)
        consumer = next(line for line in free if name in line.process.reads)
        links[name] = Link(links[name].stage, occupancy(producer, consumer, name))
    images, period = 60, period_of(chain)
    times = run(chain, links, images)
    slow = next(process for process in chain if process.iterations == period)
    assert times is not None
    assert times[slow.name][-1] - times[slow.name][-1 - 10 * period] == 10 * period
    assert keeps(chain, links, period) and interval(chain, links) == period


@given(graph=diamonds())
@settings(max_examples=150, deadline=None)
def test_the_interval_is_kept_for_ever_and_is_the_least_whole_one(graph) -> None:
    """Against the interval of a long simulation, cycle by cycle, well after its start."""
    chain, links = graph
    warm, more = 20, 60  # images may come in groups of several, each at its own distance: 14, 9, 13, 14, 9, 13
    times = run(chain, links, warm + more)
    if times is None:
        with pytest.raises(Deadlock):
            interval(chain, links)
        return
    found = interval(chain, links)
    ends = times["join"][chain[-1].iterations - 1 :: chain[-1].iterations]
    taken, within = ends[-1] - ends[warm - 1], max(np.diff(ends))
    assert (found - 1) * more - within < taken <= found * more + within
    assert keeps(chain, links, found)
