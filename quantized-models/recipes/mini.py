#!/usr/bin/env python3
"""Trains and exports the built-in models, on the world that `geolocate world` draws. README.md explains the recipes."""

import argparse
import json
import math
import sys
from pathlib import Path

from geolocated_recipes import command


def train(arguments: argparse.Namespace) -> int:
    """Trains towers on pairs of `geolocate world pairs`; goes on with what lies in --out."""
    import torch

    from geolocated_recipes.mini.pairs import Pairs
    from geolocated_recipes.mini.training import CHECKPOINT, Plan, Training

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = ("view", "steps", "rate", "cool", "length", "runs")
    plan = Plan(**{name: getattr(arguments, name) for name in chosen})
    held_out = Pairs([arguments.held_out], arguments.view)
    training = Training(plan, Pairs(arguments.pairs, arguments.view), held_out, arguments.out)
    if arguments.begin_with and not (arguments.out / CHECKPOINT).exists():
        training.begin_with(arguments.begin_with)
    training.resume()
    training.run(arguments.stop_after_s)
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Writes the model folder of a finished run."""
    from geolocated_recipes import pictures
    from geolocated_recipes.mini.export import Export, Request

    found = (pictures.find([folder], arguments.most_pictures) for folder in (arguments.references, arguments.queries))
    request = Request(arguments.source, arguments.name, arguments.out, *found)
    report = Export(request).write()
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for name, side in report["sides"].items():
        agreement = side["agreement"]
        print(
            f"{name}: {side['bytes'] / 1e6:.1f} MB; fp32 graph to torch: most {side['fp32_to_torch']:.1e}; "
            f"8-bit to fp32 on {agreement['pictures']} pictures: cosine least {agreement['cosine_least']:.5f}, "
            f"median {agreement['cosine_median']:.5f}"
        )
    print(f"{arguments.out}: {report['space']}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="mini.py", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("train", help=train.__doc__)
    verb.set_defaults(run=train)
    verb.add_argument("--view", choices=("nadir", "street"), required=True, help="what looks for its place on the map")
    verb.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="DIR")
    verb.add_argument("--held-out", type=Path, required=True, metavar="DIR", help="pairs of other seeds, for the log")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoint and log")
    verb.add_argument("--steps", type=int, required=True, help="in all; the learning rate ends at this step")
    verb.add_argument("--rate", type=float, default=5e-3, help="largest learning rate of matrices (%(default)s)")
    verb.add_argument("--cool", type=float, default=0.6, metavar="SHARE", help="of the steps, in which the rate falls")
    verb.add_argument("--length", type=int, default=32, help="rows of one region in a batch (%(default)s)")
    verb.add_argument("--runs", type=int, default=2, help="regions in a batch (%(default)s)")
    verb.add_argument("--begin-with", type=Path, metavar="DIR", help="a run whose weights to begin with")
    verb.add_argument("--stop-after-s", type=float, default=math.inf, metavar="S", help="seconds of this run")
    verb.add_argument("--threads", type=int, default=1)

    verb = verbs.add_parser("export", help=export.__doc__)
    verb.set_defaults(run=export)
    verb.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="the folder of a run")
    verb.add_argument("--name", required=True, help="of the model and its space")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    verb.add_argument("--references", type=Path, required=True, metavar="DIR", help="pictures of a map, to measure on")
    verb.add_argument("--queries", type=Path, required=True, metavar="DIR", help="pictures of the other view")
    verb.add_argument("--most-pictures", type=int, default=200, help="of each, at most (%(default)s)")
    verb.add_argument("--report", type=Path, metavar="JSON", help="write figures there, too")
    return top


def main() -> int:
    """Runs one verb; 0, or 1 with the reason."""
    return command.run(parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
