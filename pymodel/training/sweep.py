"""Variants side by side: each trained, quantised, judged in fixed point, and put into one table and plot."""

from __future__ import annotations

import os
import platform
from contextlib import ExitStack
from dataclasses import MISSING, asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from openhls.system.locks import locked

from pymodel.common.errors import ConfigError
from pymodel.common.files import write_atomically
from pymodel.common.records import read_json, write_json
from pymodel.counts.complexity import complexity
from pymodel.datasets.splits import load_dataset
from pymodel.network.bundle import Bundle
from pymodel.training.config import load_config
from pymodel.training.distributed import is_main, world
from pymodel.training.folder import load_topology
from pymodel.training.network import trainable
from pymodel.training.quantise import quantise
from pymodel.training.train import begun, train


@dataclass(frozen=True)
class VariantResult:
    """One variant of one network. Accuracies are fractions of the whole test set."""

    dataset: str
    network: str
    variant: str
    epochs: int
    qat_epochs: int
    weight_bits: int
    activation_bits: int
    weights: int  # nonzero, of convolutions and linear layers
    parameters: int  # nonzero, batch norm and biases included
    macs: int  # per image
    float_accuracy: float
    fixed_accuracy: float
    seconds: float  # of training, by the clock
    device: str
    cores: int  # of the machine
    versions: dict[str, str]
    config: dict[str, Any]  # all of it, but for the place of the data; the seed is in it
    method: str = "plain"  # TrainConfig.method
    fgsm_accuracy: float | None = None  # in floating point under attack, with `adversarial`
    pgd_accuracy: float | None = None
    fixed_pgd_accuracy: float | None = None  # in fixed point, in whole steps of the input

    @property
    def key(self) -> tuple[str | int, ...]:
        """What a later result of the same kind replaces."""
        return (
            self.dataset,
            self.network,
            self.variant,
            self.epochs,
            self.qat_epochs,
            self.weight_bits,
            self.activation_bits,
            self.method,
        )


@dataclass(frozen=True)
class SweepResult:
    """All results in the table, those of earlier runs included."""

    results: tuple[VariantResult, ...]
    table: str  # Markdown
    path: str

    def to_json(self) -> dict[str, Any]:
        return {"results": [asdict(result) for result in self.results], "path": self.path}


def sweep(
    config_path: Path, out: Path, variants: tuple[str, ...], results: Path, overrides: tuple[str, ...] = ()
) -> SweepResult | None:
    """Train and quantise each of `variants` in out/VARIANT; add them to the file `results` (.json).

    Beside it come the same as a Markdown table (.md) and a plot of accuracy against MACs (.svg). A variant
    that was begun is resumed, one that is finished is not trained again. Everything that can be wrong with a variant
    is looked at before the first one is trained. Under torchrun only the main process writes, and returns a result.
    Raises ConfigError; InUse where another process writes the same files.
    """
    if results.suffix != ".json":
        raise ConfigError(f"results: the name must end in .json, got {results}")
    known = {result.key: result for result in read_results(results)}
    for variant in variants:
        _check(config_path, out / variant, variant, overrides)
    with ExitStack() as locks:
        if is_main():
            locks.enter_context(locked(out))
            locks.enter_context(locked(results.parent, results.name))
        for variant in variants:
            result = _run(config_path, out / variant, variant, overrides)
            if result:
                known[result.key] = result
                _write(results, list(known.values()))
    ordered = tuple(known.values())
    return SweepResult(ordered, markdown_table(ordered), str(results)) if is_main() else None


def _check(config_path: Path, folder: Path, variant: str, overrides: tuple[str, ...]) -> None:
    """Raises ConfigError for a variant that is unknown or cannot be built, or whose folder holds another training."""
    config = load_config(config_path, _of(variant, overrides))
    dataset = load_dataset(config.data.dataset, Path(config.data.path) if config.data.path else None)
    network = trainable(config, dataset).network
    if (folder / "checkpoint.pt").exists():
        begun(config, folder, network, world())


def _of(variant: str, overrides: tuple[str, ...]) -> tuple[str, ...]:
    return (*overrides, f"network.variant={variant}")


def _run(config_path: Path, folder: Path, variant: str, overrides: tuple[str, ...]) -> VariantResult | None:
    trained = train(config_path, folder, True, _of(variant, overrides))
    quantised = quantise(folder, folder / f"{trained.dataset}_{variant}.yaml", resume=True)
    if quantised is None:
        return None
    network = Bundle.load(Path(quantised.bundle)).network
    config = read_json(folder / "config.json")
    del config["data"]["path"]
    return VariantResult(
        dataset=trained.dataset,
        network=network.name,
        variant=variant,
        epochs=trained.epochs,
        qat_epochs=quantised.qat_epochs,
        weight_bits=quantised.weight_bits,
        activation_bits=quantised.activation_bits,
        weights=trained.weights,
        parameters=complexity(load_topology(folder)).parameters,
        macs=complexity(network).macs,
        float_accuracy=trained.test_accuracy,
        fixed_accuracy=quantised.fixed_accuracy,
        seconds=trained.seconds,
        device=trained.device,
        cores=os.cpu_count() or 1,
        versions={"python": platform.python_version()} | {name: version(name) for name in ("torch", "numpy")},
        config=config,
        method=trained.method,
        fgsm_accuracy=trained.fgsm_accuracy,
        pgd_accuracy=trained.pgd_accuracy,
        fixed_pgd_accuracy=quantised.pgd_accuracy,
    )


def markdown_table(results: tuple[VariantResult, ...]) -> str:
    """One line per result, in the order given; methods and attacks where there are any."""
    methods = any(result.method != "plain" for result in results)
    attacks = any(result.pgd_accuracy is not None for result in results)
    head = ["network", "variant", *["method"] * methods, "epochs", "parameters", "nonzero weights", "MACs / image"]
    head += ["float accuracy", "fixed-point accuracy", *["FGSM", "PGD", "fixed-point PGD"] * attacks]
    head += ["bits (w/a)", "training", "device"]
    left = ("network", "variant", "method", "device")
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' if title in left else '---:' for title in head)}|"]
    for result in results:
        epochs = f"{result.epochs}" + (f" + {result.qat_epochs} QAT" if result.qat_epochs else "")
        under_attack = (result.fgsm_accuracy, result.pgd_accuracy, result.fixed_pgd_accuracy)
        cells = [result.network, result.variant, *[result.method] * methods, epochs]
        cells += [f"{count:,}" for count in (result.parameters, result.weights, result.macs)]
        cells += [f"{result.float_accuracy:.2%}", f"{result.fixed_accuracy:.2%}"]
        cells += ["" if one is None else f"{one:.2%}" for one in under_attack if attacks]
        cells += [f"{result.weight_bits}/{result.activation_bits}", f"{result.seconds:.0f} s", result.device]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def read_results(path: Path) -> list[VariantResult]:
    """The results in a sweep's JSON file; none where there is no file. Raises ConfigError for another file."""
    if not path.exists():
        return []
    try:
        rows = read_json(path)
        names = {field.name for field in fields(VariantResult)}
        later = {field.name for field in fields(VariantResult) if field.default is not MISSING}  # than some files
        if not isinstance(rows, list) or any(not names - later <= set(row) <= names for row in rows):
            raise ValueError(f"each entry must have the keys {', '.join(sorted(names))}")
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: not a table of results: {error}") from error
    return [VariantResult(**row) for row in rows]


def _write(path: Path, results: list[VariantResult]) -> None:
    write_json(path, [asdict(result) for result in results])
    table = markdown_table(tuple(results))
    write_atomically(path.with_suffix(".md"), lambda target: target.write_text(table))
    _plot(path.with_suffix(".svg"), results)


def _plot(path: Path, results: list[VariantResult]) -> None:
    """Fixed-point accuracy against MACs."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.scatter([result.macs / 1e6 for result in results], [100 * result.fixed_accuracy for result in results])
    for result in results:
        axes.annotate(
            result.variant,
            (result.macs / 1e6, 100 * result.fixed_accuracy),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
            rotation=30,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("million MACs per image")
    axes.set_ylabel("fixed-point test accuracy, %")
    axes.grid(alpha=0.3, which="both")
    axes.margins(x=0.15, y=0.15)
    with matplotlib.rc_context({"svg.hashsalt": "psconv"}):  # the same results give the same bytes
        write_atomically(path, lambda target: figure.savefig(target, format="svg", metadata={"Date": None}))
