"""`psconv explore`: the parallelism of every layer, chosen to the optimum for a frame rate or a device's budgets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from pathlib import Path

from openhls.backend.targets import least_period

from psconv.common import plots
from psconv.common.parallel import Arguments, Result, in_workers
from psconv.common.tables import Row
from psconv.flow.config import RunConfig, load
from psconv.flow.inputs import load_bundle
from psconv.synthesis.targets import Target, load_target
from pymodel.common.bounds import BUDGET
from pymodel.common.errors import ConfigError
from pymodel.common.files import write_text
from pymodel.common.records import read_yaml, yaml_text
from pymodel.explore.constants import upper_bounds
from pymodel.explore.costs import EXACT, KINDS, calibration
from pymodel.explore.fitted import Fitted, fitted
from pymodel.explore.limits import limits, no_faster
from pymodel.explore.network import QUICK, UNLIMITED, Network, allowed, cheapest, fastest, top_shapes
from pymodel.explore.options import Option, Parallelism, most_multipliers, options
from pymodel.explore.rates import cycles_at, rate
from pymodel.explore.solve import AXES, TRAFFIC, Answer
from pymodel.explore.technology import Technology, technology_of
from pymodel.explore.utilisation import lanes
from pymodel.network.bundle import Bundle

UTILISATION = "utilisation"
ROM, LOADED, STREAMED = "rom", "loaded", "streamed"  # the configuration's `weights`
RATE = "MB/s"  # of weights that are streamed, as a budget
NO_DASK = "--dask needs Dask: pip install -c requirements.lock -e '.[dask]'"


class NothingFits(ConfigError):
    """No choice fits the budgets, or none was found."""


@dataclass(frozen=True)
class Request:
    """What is requested of the search. fps: frame rate to reach; None: the highest. budget: changes to the device's.

    maximise: UTILISATION: of the lanes, at `fps` or more; None: the frame rate, or nothing where one is given.
    packing, channels: whether lanes may share multipliers, and rings lie in memories (feed: channels). weights: rom,
    loaded, or streamed, which any layer may be where others have a ROM; None: as the configuration says, or, where it
    says nothing, loaded where no choice fits with ROMs.
    """

    fps: float | None
    minimise: str
    budget: tuple[str, ...]
    maximise: str | None = None
    device: str | None = None
    clock_ns: float | None = None
    points: int = 8
    dask: str | None = None
    packing: bool = True
    channels: bool = True
    weights: str | None = None

    def command(self, config: Path) -> str:
        """The command line that asks for it, as far as the choice depends on it."""
        options = {
            "--fps": self.fps,
            "--device": self.device,
            "--clock": self.clock_ns,
            "--minimise": self.minimise,
            "--maximise": self.maximise,
            "--weights": self.weights,
        }
        words = [f"{key} {value}" for key, value in options.items() if value is not None]
        words += [f"--budget {change}" for change in self.budget]
        words += [f"--no-{what}" for what in ("packing", "channels") if not getattr(self, what)]
        return " ".join(["psconv explore", config.name, *words])


@dataclass(frozen=True)
class Exploration:
    """Frontier and choice. rows: of the frontier, for people and machines. macs: of an image, by layer."""

    network: str
    target: Target
    clock_ns: float
    budget: dict[str, float]  # of the solver: traffic in bytes a cycle
    minimise: str
    rows: list[Row]
    best: Fitted
    macs: dict[str, int]
    upper_bounds: list[str]  # layers that may take less
    weights: str  # where they are: rom, loaded or streamed
    limits: list[str]  # why the choice is no faster, where the highest rate was asked for

    def fps(self, interval: int) -> Decimal:
        return rate(interval, self.clock_ns)

    @property
    def layers(self) -> list[Row]:
        """The choice, a row for each layer. utilisation: of its lanes at the interval of the network."""
        return [
            {
                "layer": name,
                **{key: value for key, value in o.key._asdict().items() if key in _keys(self.weights)},
                **({"weights": _place(o), "bytes": o.cost.traffic} if self.weights == STREAMED else {}),
                "lanes": o.lanes,
                "cycles": o.cycles,
                "utilisation": round(self.macs[name] / (o.lanes * self.best.interval), 4),
            }
            | _whole(o.cost.to_json())
            for name, o in self.best.answer.chosen.items()
        ]

    @property
    def summary(self) -> Row:
        """The choice in one row: frame rate, bounds, and what engines and streams take together.

        at_most: no choice has more frames/s, or a higher utilisation where that is maximised; None where a rate was
        asked for. utilisation: useful multiply-accumulates of all that the lanes could do.
        """
        best, width = self.best, lanes(self.best.answer.chosen)
        bounds, macs = best.bounds, sum(self.macs.values())
        at_most = bounds.interval and self.fps(bounds.interval)
        return {
            "frames_per_second": self.fps(best.interval),
            "at_most": round(macs / bounds.product, 5) if bounds.product else at_most,
            "cycles": best.interval,
            "lanes": width,
            "utilisation": round(macs / (width * best.interval), 5),
            **_whole(best.answer.cost.to_json()),
            **self._traffic(best.answer, best.interval),
            **({} if bounds.amount is None else {f"least_{self.minimise}": bounds.amount}),
            "proof": self._proof(),
        }

    def _traffic(self, answer: Answer, interval: int) -> Row:
        """Bytes of streamed weights a second, where there may be any."""
        if self.weights != STREAMED:
            return {}
        return {RATE: round(answer.cost.traffic / (interval * self.clock_ns) * 1e3, 1)}

    def row(self, network: Network, answer: Answer) -> Row:
        """A point of the frontier."""
        interval = network.interval(answer.chosen)
        width = lanes(answer.chosen)
        return {
            "frames_per_second": self.fps(interval),
            "cycles": interval,
            "lanes": width,
            "utilisation": round(sum(self.macs.values()) / (width * interval), 5),
            **_whole(answer.cost.to_json()),
            **self._traffic(answer, interval),
            f"least_{self.minimise}": answer.bound,
            "proof": ", ".join(_gap(self.minimise, answer, answer.bound)) or "optimal",
        }

    def _proof(self) -> str:
        best, notes = self.best, []
        bounds, product = best.bounds, best.interval * lanes(best.answer.chosen)
        if bounds.product and product > bounds.product:
            notes.append(f"utilisation within {product / bounds.product - 1:.2%}")
        if bounds.interval and best.interval > bounds.interval:
            notes.append(f"frames/s within {best.interval / bounds.interval - 1:.2%}")
        if bounds.amount is not None:
            notes += _gap(self.minimise, best.answer, bounds.amount)
        return ", ".join(notes) or "optimal"

    def to_json(self) -> Row:
        model = calibration(technology_of(self.target.family))
        return {
            "network": self.network,
            "device": self.target.name,
            "clock_ns": self.clock_ns,
            "budget": {kind: most for kind, most in self.budget.items() if kind != TRAFFIC}
            | ({RATE: round(self.budget[TRAFFIC] / self.clock_ns * 1e3, 6)} if TRAFFIC in self.budget else {}),
            "minimise": self.minimise,
            "weights": self.weights,
            "exact": list(EXACT),
            "upper_bounds": self.upper_bounds,
            "limits": self.limits,
            "estimates": {
                kind: {"unseen_mean_percent": fit.unseen_mean_percent}
                for kind, fit in (("LUT", model.LUT), ("FF", model.FF))
            },
            "frontier": [_numbers(row) for row in self.rows],
            "chosen": _numbers(self.summary)
            | {"engines": self.best.answer.engines.to_json(), "streams": self.best.answer.streams.to_json()},
            "layers": self.layers,
        }


def explore(path: Path, request: Request, tell: Callable[[str], None] = lambda text: None) -> Exploration:
    """The frontier of the network that `path` configures, and the choice that is requested. Raises ConfigError.

    tell: is told, now and then, how far the search is.
    """
    config = load(path)
    if config.layer:
        raise ConfigError(f"{path}: layer: must be left out, explore balances the layers of a bundle or a network")
    if request.minimise not in AXES:
        raise ConfigError(f"--minimise: must be one of {', '.join(AXES)}, got {request.minimise!r}")
    if request.maximise not in (None, UTILISATION):
        raise ConfigError(
            f"--maximise: must be {UTILISATION!r}, got {request.maximise!r}; without it the frame rate is maximised"
        )
    target = load_target(config.target if request.device is None else request.device)
    technology = technology_of(target.family)
    clock_ns = next(period for period in (request.clock_ns, config.clock_ns, target.clock_ns) if period is not None)
    if clock_ns < (least := least_period(target.openhls)):
        key = f"{path}: clock_ns" if request.clock_ns is None else "--clock"
        raise ConfigError(
            f"{key}: must be at least {least:g} ns (the fastest process by openhls' delay model of {target.name}), "
            f"got {clock_ns:g} ns"
        )
    budget = budgets(target, request.budget, clock_ns)
    try:
        bundle = load_bundle(config, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    interval = None if request.fps is None else cycles_at(request.fps, clock_ns)
    if interval == 0:
        raise ConfigError(f"--fps: must be at most one frame per clock cycle of {clock_ns:g} ns, got {request.fps:g}")
    refused: list[str] = []
    for weights in _places(config, request):
        try:
            network = explored(bundle, path, budget, request, technology, weights, tell)
        except ConfigError as error:
            if not refused:
                raise
            raise ConfigError(f"{refused[0]}; with weights: {weights}: {error}") from error
        tell("the choice")
        best = fitted(network, budget, request.minimise, interval, utilised=request.maximise == UTILISATION)
        if best is not None:
            break
        refused.append(_why_not(network, budget, interval, target, request.fps))
    if best is None:
        loaded = [f"with weights: {LOADED}: {one}" for one in refused[1:] if one != refused[0]]
        raise NothingFits("; ".join([*refused[:1], *loaded]))
    macs = {name: shape.macs for name, shape in network.shapes.items()}
    slow = limits(network, best.answer, budget) if interval is None and request.maximise is None else []
    less = [] if network.loaded else upper_bounds(network.dataflow(best.answer.chosen))
    found = Exploration(
        network.bundle.network.name, target, clock_ns, budget, request.minimise, [], best, macs, less, weights, slow
    )
    return replace(found, rows=_frontier(network, found, request, tell))


def _places(config: RunConfig, request: Request) -> tuple[str, ...]:
    """Where weights may be, in the order in which it is tried."""
    if request.weights is not None:
        if request.weights not in (ROM, LOADED, STREAMED):
            raise ConfigError(f"--weights: must be {ROM}, {LOADED} or {STREAMED}, got {request.weights!r}")
        return (request.weights,)
    if any(layer.weights == STREAMED for layer in config.layers.values()):
        return (STREAMED,)
    return (config.weights,) if "weights" in config.model_fields_set else (ROM, LOADED)


def budgets(target: Target, changes: Sequence[str], clock_ns: float) -> dict[str, float]:
    """The device's budgets with KIND=AMOUNT over them; KIND=none lifts one. Raises ConfigError.

    Of streamed weights KIND is MB/s, which become bytes a cycle of TRAFFIC.
    """
    kinds = (*KINDS, RATE)
    budget: dict[str, float] = dict(target.budgets.model_dump())
    for change in changes:
        kind, _, amount = change.partition("=")
        if kind not in kinds:
            raise ConfigError(f"--budget: must be KIND=AMOUNT with KIND one of {', '.join(kinds)}, got {change!r}")
        if amount == "none":
            budget.pop(kind, None)
            continue
        try:
            budget[kind] = float(amount)
        except ValueError:
            raise ConfigError(f"--budget: {kind}: must be a number or 'none', got {amount!r}") from None
        BUDGET.check(budget[kind], f"--budget {change}")
    if RATE in budget:
        budget[TRAFFIC] = budget.pop(RATE) * clock_ns / 1e3
    return budget


def write_config(found: Exploration, path: Path, out: Path, request: Request) -> Path:
    """Writes OUT/NAME.yaml: the configuration in `path` with the choice, ready for `psconv run`."""
    result = out / f"{path.stem}.yaml"
    if result.resolve() == path.resolve():
        raise ConfigError(
            f"--out: must not be the folder of the configuration, got {out}: {result} would be overwritten"
        )
    data = read_yaml(path)
    if "bundle" in data:
        data["bundle"] = os.path.relpath(path.parent / data["bundle"], out)
    data |= {"top": "network", "target": found.target.name, "clock_ns": found.clock_ns}
    keys = [*_keys(found.weights), "lanes", *(["weights"] if found.weights == STREAMED else [])]
    data.pop("weights", None)
    if found.weights == LOADED:
        data["weights"] = LOADED
    data["layers"] = {row["layer"]: {key: row[key] for key in keys} for row in found.layers}
    summary = ", ".join(f"{key} {value}" for key, value in found.summary.items())
    text = f"# Chosen by: {request.command(path)}\n# {summary}\n{yaml_text(data, width=118)}"
    write_text(result, text)
    load(result)  # what `psconv run` will do
    return result


def _keys(weights: str) -> list[str]:
    """The keys of a layer that are chosen."""
    skipped = {"streamed"} if weights == LOADED else {"streamed", "ultra_weights"}
    return [key for key in Parallelism._fields if key not in skipped]


def _place(option: Option) -> str:
    return STREAMED if option.key.streamed else ROM


def plot(found: Exploration, out: Path) -> list[Path]:
    """Writes OUT/frontier.svg and .png."""
    title = f"{found.network} on {found.target.name} at {1e3 / found.clock_ns:.0f} MHz: least {found.minimise}"
    return plots.write(plots.frontier(found.rows, found.budget, title), out / "frontier")


def evaluate(
    function: Callable[[*Arguments], Result],
    calls: Sequence[tuple[*Arguments]],
    dask: str | None,
    tell: Callable[[int], None] = lambda count: None,
) -> list[Result]:
    """Results of `function(*call)` in the order of the calls: in worker processes, or on a Dask cluster.

    tell: is told, by worker processes, how many calls have ended.
    """
    if dask is None:
        ended = count(1)
        return in_workers(function, calls, lambda _: tell(next(ended)))
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ConfigError(NO_DASK) from error
    try:
        client = Client(dask, timeout=10)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--dask: no scheduler answers at {dask!r}: {error}") from error
    with client:
        gathered: list[Result] = client.gather([client.submit(function, *call) for call in calls])
        return gathered


def explored(
    bundle: Bundle,
    path: Path,
    budget: Mapping[str, float],
    request: Request,
    technology: Technology,
    weights: str = ROM,
    tell: Callable[[str], None] = lambda text: None,
) -> Network:
    """The options of each engine of a bundle's top, which `path` configures. Raises ConfigError.

    technology: of the device. weights: ROM, LOADED or STREAMED. tell: how far it is.
    """
    loaded, streamed = weights == LOADED, weights == STREAMED
    try:
        shapes = top_shapes(bundle, technology.multiplier_bits, loaded)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not shapes:
        raise ConfigError(
            f"{path}: must have a layer with weights in the network's top, got none; there is nothing to choose"
        )
    distinct = list({shape.model_dump_json(): shape for shape in shapes.values()}.values())
    calls = [
        (shape, most_multipliers(shape, budget.get("DSP")), technology, request.packing, request.channels, streamed)
        for shape in distinct
    ]
    lists = evaluate(
        options, calls, request.dask, lambda ended: tell(f"the ways to build {ended} of {len(calls)} engines")
    )
    found: dict[str, list[Option]] = {
        shape.model_dump_json(): each for shape, each in zip(distinct, lists, strict=True)
    }
    for name, shape in shapes.items():
        if not found[shape.model_dump_json()]:
            raise ConfigError(
                f"{path}: layer {name}: no engine has {most_multipliers(shape, budget.get('DSP'))} multipliers or fewer"
            )
    ways = {name: found[shape.model_dump_json()] for name, shape in shapes.items()}
    return Network(bundle, shapes, ways, technology, loaded)


def _frontier(network: Network, found: Exploration, request: Request, tell: Callable[[str], None]) -> list[Row]:
    """The least of the minimised resource at the highest frame rate, at halves of it, and at the rate asked for."""
    best = found.best
    fast = best.bounds.interval or _fastest(network, found, request)
    slow = max(_cycles_at_fewest_multipliers(options) for options in network.options.values())
    halves = {fast << doubling for doubling in range(request.points) if fast << doubling < 2 * slow}
    intervals = sorted(halves | {best.interval})
    if best.bounds.amount is not None:
        intervals.remove(best.interval)
    calls = [(network.at(each), found.budget, each, request.minimise) for each in intervals]
    answers = evaluate(
        _point, calls, request.dask, lambda ended: tell(f"{ended} of {len(calls)} points of the frontier")
    )
    if best.bounds.amount is not None:
        answers.append(best.answer)
    rows = [found.row(network, answer) for answer in answers if answer.choice is not None]
    return sorted(rows, key=lambda row: row["cycles"])


def _point(network: Network, budget: Mapping[str, float], interval: int, resource: str) -> Answer:
    """A point of the frontier."""
    return cheapest(network, budget, interval, resource, effort=QUICK)


def _fastest(network: Network, found: Exploration, request: Request) -> int:
    """The least cycles per image of all, where a slower choice was asked for."""
    fast = fastest(network, found.budget, request.minimise)
    return fast.interval if fast else found.best.interval


def _cycles_at_fewest_multipliers(found: Sequence[Option]) -> int:
    """The cycles of a layer's fastest option with the fewest multipliers: going slower saves none."""
    return min((option.multipliers, option.cycles) for option in found)[1]


def _gap(resource: str, answer: Answer, bound: float) -> list[str]:
    """How far above a bound an answer is, if it is."""
    found = answer.cost.in_units[AXES.index(resource)]
    if found <= bound:
        return []
    return [f"{resource} within {found / bound - 1:.2%}" if bound else f"{resource} within {found:,g}"]


def _why_not(
    network: Network, budget: Mapping[str, float], interval: int | None, target: Target, fps: float | None
) -> str:
    """Why nothing fits: each resource of which the engines alone have too much even at its own least."""
    cycles = UNLIMITED if interval is None else interval
    most = allowed(budget, cycles)
    name, at = network.bundle.network.name, "" if fps is None else f" at {fps:,.10g} frames/s"
    reasons = []
    for kind in AXES:
        least = cheapest(network, {}, cycles, kind, ties=False, engines_alone=True)
        if least.choice is None:
            slow = [
                f"layer {layer}: {no_faster(network.shapes[layer], found)}"
                for layer, found in network.options.items()
                if min(option.cycles for option in found) > cycles
            ]
            return "; ".join(
                (
                    f"no folding of {name} reaches {fps:,.10g} frames/s ({interval:,} cycles per image) with "
                    "multipliers for all that the budget has",
                    *slow,
                )
            )
        if kind in most and least.bound > most[kind]:
            reasons.append(f"{kind}: {least.bound:,g} at least, {most[kind]:,g} there")
    lift = "--budget KIND=none lifts a budget"
    if not reasons and not cheapest(network, budget, cycles, "DSP", ties=False, enough=True).proved:
        return (
            f"no folding of {name} was found that fits {target.name}{at} with its streams; the search ended at its "
            f"limit, without a proof that there is none. {lift}"
        )
    detail = "; ".join(reasons) or "each resource is enough by itself, not all together, or not with the streams"
    return f"no folding of {name} fits {target.name}{at}: {detail}. {lift}"


def _numbers(row: Row) -> Row:
    """A row for machines."""
    return {key: float(value) if isinstance(value, Decimal) else value for key, value in row.items()}


def _whole(resources: Mapping[str, float]) -> Row:
    return {kind: int(value) if value == int(value) else value for kind, value in resources.items()}
