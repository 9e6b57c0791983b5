"""python -m pymodel.training train CONFIG --out DIR; python -m pymodel.training quantize DIR --out X.yaml;
python -m pymodel.training sweep CONFIG --out DIR --variants A,B --results RESULTS.json

Also the entry point under torchrun: torchrun --nproc-per-node 2 -m pymodel.training train ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pymodel.common.errors import told
from pymodel.common.records import json_text
from pymodel.training.distributed import is_main
from pymodel.training.quantise import QuantiseResult, quantise
from pymodel.training.sweep import SweepResult, sweep
from pymodel.training.train import TrainResult, train


def main() -> int:
    """Runs one command; the main process prints its result as JSON. Exit status 2 for wrong input."""
    parser = argparse.ArgumentParser(prog="python -m pymodel.training", description="Train and quantise.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train a network")
    training.add_argument("config", type=Path, help="YAML file; see docs/guide/training.md")
    training.add_argument("--out", type=Path, required=True, help="folder of the run")
    quantising = commands.add_parser("quantize", help="turn a trained network into a fixed-point bundle")
    quantising.add_argument("run", type=Path, help="folder of a training run")
    quantising.add_argument("--out", type=Path, required=True, help="the bundle's .yaml file")
    quantising.add_argument("--weight-bits", type=int)
    quantising.add_argument("--activation-bits", type=int)
    quantising.add_argument("--qat", action="store_true", default=None, help="quantisation-aware training")
    sweeping = commands.add_parser("sweep", help="train and quantise several variants; table and plot")
    sweeping.add_argument("config", type=Path)
    sweeping.add_argument("--out", type=Path, required=True, help="folder of the runs; begun ones are resumed")
    sweeping.add_argument("--variants", required=True, help="such as dense,PSD4_P8,PSD1_P16")
    sweeping.add_argument("--results", type=Path, required=True, help=".json table to add to; .md, .svg beside it")
    for command in (training, quantising):
        command.add_argument("--resume", action="store_true", help="continue after a kill")
    for command in (training, quantising, sweeping):
        command.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    result: TrainResult | SweepResult | QuantiseResult | None
    try:
        if arguments.command == "train":
            result = train(arguments.config, arguments.out, arguments.resume, tuple(arguments.overrides))
        elif arguments.command == "sweep":
            variants = tuple(arguments.variants.split(","))
            result = sweep(arguments.config, arguments.out, variants, arguments.results, tuple(arguments.overrides))
        else:
            result = quantise(
                arguments.run,
                arguments.out,
                weight_bits=arguments.weight_bits,
                activation_bits=arguments.activation_bits,
                qat=arguments.qat,
                resume=arguments.resume,
                overrides=tuple(arguments.overrides),
            )
    except Exception as error:
        code, message = told(error)
        print(message, file=sys.stderr)
        return code
    if is_main() and result is not None:
        print(json_text(result.to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
