#!/usr/bin/env python3
"""Trains and exports the built-in models, on the world that `geolocate world` draws. README.md explains the recipes."""

import argparse
import json
import math
import sys
from pathlib import Path

import numpy as np

from geolocated_recipes import command


def train(arguments: argparse.Namespace) -> int:
    """Trains towers on pairs of `geolocate world pairs`; goes on with what lies in --out."""
    import torch

    from geolocated_recipes.mini.pairs import Pairs
    from geolocated_recipes.mini.run import CHECKPOINT
    from geolocated_recipes.mini.training import Plan, Training

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = ("view", "steps", "rate", "cool", "length", "runs", "clusters", "local_share")
    plan = Plan(**{name: getattr(arguments, name) for name in chosen})
    held_out = Pairs([arguments.held_out], arguments.view)
    look_alikes = np.load(arguments.look_alikes) if arguments.look_alikes else None
    training = Training(plan, Pairs(arguments.pairs, arguments.view), held_out, arguments.out, look_alikes)
    if arguments.begin_with and not (arguments.out / CHECKPOINT).exists():
        training.begin_with(arguments.begin_with)
    training.resume()
    training.run(arguments.stop_after_s)
    return 0


def train_head(arguments: argparse.Namespace) -> int:
    """Trains the head of an encoder for views from above, whose tower stays; goes on with what lies in --out."""
    import torch

    from geolocated_recipes.mini.comparisons import look
    from geolocated_recipes.mini.fronts import SIDE
    from geolocated_recipes.mini.head_training import HeadPlan, HeadTraining
    from geolocated_recipes.mini.pairs import Pairs
    from geolocated_recipes.mini.towers import Towers
    from geolocated_recipes.mini.training import tower_of

    torch.set_num_threads(arguments.threads)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    pairs, held_out = Pairs(arguments.pairs, "nadir"), Pairs([arguments.held_out], "nadir")
    weights = tower_of(arguments.encoder, pairs)
    tower = Towers("nadir").reference
    tower.load_state_dict(weights)
    tower.eval()
    seen = [look(found, tower, SIDE, out / name) for found, name in ((pairs, "seen"), (held_out, "seen-held-out"))]
    training = HeadTraining(HeadPlan(steps=arguments.steps), pairs, seen[0], (held_out, seen[1]), out)
    training.begin_with(weights)
    training.resume()
    training.run(arguments.stop_after_s)
    return 0


def look_alikes(arguments: argparse.Namespace) -> int:
    """Sets of places that an encoder for views from above takes for one another, as an array of row numbers."""
    import torch

    from geolocated_recipes.mini import lookalikes
    from geolocated_recipes.mini.pairs import Pairs
    from geolocated_recipes.mini.towers import Towers
    from geolocated_recipes.mini.training import tower_of, vectors

    torch.set_num_threads(arguments.threads)
    pairs = Pairs(arguments.pairs, "nadir")
    towers = Towers("nadir")
    towers.reference.load_state_dict(tower_of(arguments.encoder, pairs))
    rows = np.arange(min(arguments.most, len(pairs)))
    views, maps = vectors(towers, pairs, rows)
    found = lookalikes.sets(views, maps, np.concatenate(pairs.records)[rows], arguments.size, seed=7)
    with arguments.out.open("wb") as file:
        np.save(file, found)
    print(f"{arguments.out}: {len(found)} sets of {arguments.size} of {len(rows)} places")
    return 0


def train_comparator(arguments: argparse.Namespace) -> int:
    """Trains a comparator on look-alikes, behind the tower of an encoder; goes on with what lies in --out."""
    import torch

    from geolocated_recipes.mini.comparator import fitted, tokenizer
    from geolocated_recipes.mini.comparator_training import ComparatorPlan, ComparatorTraining
    from geolocated_recipes.mini.comparisons import look
    from geolocated_recipes.mini.fronts import SIDE
    from geolocated_recipes.mini.network import Encoder, Shape
    from geolocated_recipes.mini.pairs import Pairs
    from geolocated_recipes.mini.training import tower_of

    torch.set_num_threads(arguments.threads)
    side, out = arguments.side, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    pairs, held_out = Pairs(arguments.pairs, "nadir"), Pairs([arguments.held_out], "nadir")
    tower = Encoder(Shape(rows=side, columns=side))
    tower.load_state_dict(fitted(tower_of(arguments.encoder, pairs), side, SIDE))
    tower.eval()
    seen = [
        look(found, tower, side, out / name, arguments.alike)
        for found, name in ((pairs, "seen"), (held_out, "seen-held-out"))
    ]
    plan = ComparatorPlan(steps=arguments.steps, side=side, rate=arguments.rate)
    training = ComparatorTraining(plan, *seen, out)
    training.begin_with(tower)
    (out / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False), encoding="utf-8")
    training.resume()
    training.run(arguments.stop_after_s)
    return 0


def export_comparator(arguments: argparse.Namespace) -> int:
    """Writes the model folder of a comparator: 8-bit weights, held to torch, measured on pictures."""
    from geolocated_recipes import pictures
    from geolocated_recipes.folder import Identity
    from geolocated_recipes.mini.comparator_checkpoint import ComparatorCheckpoint
    from geolocated_recipes.mini.export import LICENCE, SOURCE
    from geolocated_recipes.vlm.export import Export, Request

    folders = [arguments.references, arguments.queries]
    found = [pictures.find([folder], arguments.most_pictures // 2) for folder in folders]
    request = Request(
        checkpoint=ComparatorCheckpoint(arguments.source),
        identity=Identity(arguments.name, LICENCE, SOURCE),
        out=arguments.out,
        variants=["int8-weights"],
        form="plain",
        golden_pictures=[found[1][0], *found[0][:2]],
        measured=[path for both in zip(*found, strict=False) for path in both],
        comparisons=arguments.comparisons,
        blocks_independent=True,
        all_rows=True,
        perception_noise_nats=arguments.perception_noise_nats,
        is_named_whole=True,
    )
    report = Export(request).run()
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["variants"], indent=2))
    for name, reason in report["refused"].items():
        print(f"not written: {name}: {reason}", file=sys.stderr)
    return 1 if report["refused"] else 0


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
    verb.add_argument("--clusters", type=int, default=0, help="sets of look-alikes in a batch (%(default)s)")
    verb.add_argument("--local-share", type=float, default=1.0, help="weight of the loss of tokens (%(default)s)")
    verb.add_argument("--look-alikes", type=Path, metavar="NPY", help="those sets")
    verb.add_argument("--begin-with", type=Path, metavar="DIR", help="run or model folder, to begin with its weights")
    verb.add_argument("--stop-after-s", type=float, default=math.inf, metavar="S", help="seconds of this run")
    verb.add_argument("--threads", type=int, default=1)

    verb = verbs.add_parser("train-head", help=train_head.__doc__)
    verb.set_defaults(run=train_head)
    verb.add_argument("--encoder", type=Path, required=True, metavar="DIR", help="run or model folder, for its tower")
    verb.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="DIR")
    verb.add_argument("--held-out", type=Path, required=True, metavar="DIR", help="pairs of other seeds, for the log")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoint, log, and what the tower saw")
    verb.add_argument("--steps", type=int, required=True, help="in all; the learning rate ends at this step")
    verb.add_argument("--stop-after-s", type=float, default=math.inf, metavar="S", help="seconds of this run")
    verb.add_argument("--threads", type=int, default=1)

    verb = verbs.add_parser("look-alikes", help=look_alikes.__doc__)
    verb.set_defaults(run=look_alikes)
    verb.add_argument("--encoder", type=Path, required=True, metavar="DIR", help="run or model folder")
    verb.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="DIR")
    verb.add_argument("--most", type=int, default=1 << 20, help="pairs that are looked at, the first ones")
    verb.add_argument("--size", type=int, default=8, help="places of a set (%(default)s)")
    verb.add_argument("--out", type=Path, required=True, metavar="NPY")
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

    verb = verbs.add_parser("train-comparator", help=train_comparator.__doc__)
    verb.set_defaults(run=train_comparator)
    verb.add_argument("--encoder", type=Path, required=True, metavar="DIR", help="run or model folder, for its tower")
    verb.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="DIR")
    verb.add_argument("--held-out", type=Path, required=True, metavar="DIR", help="pairs of other seeds, for the log")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoint, log, and what the tower saw")
    verb.add_argument("--steps", type=int, required=True, help="in all; the learning rate ends at this step")
    verb.add_argument("--alike", type=int, default=64, metavar="N", help="wrong tiles of a view, the most similar ones")
    verb.add_argument("--side", type=int, default=128, help="pixels along a side of a picture (%(default)s)")
    verb.add_argument("--rate", type=float, default=1e-3, help="largest learning rate of matrices (%(default)s)")
    verb.add_argument("--stop-after-s", type=float, default=math.inf, metavar="S", help="seconds of this run")
    verb.add_argument("--threads", type=int, default=1)

    verb = verbs.add_parser("export-comparator", help=export_comparator.__doc__)
    verb.set_defaults(run=export_comparator)
    verb.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR", help="the folder of a run")
    verb.add_argument("--name", required=True, help="of the model and of its folder")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets the folder")
    verb.add_argument("--references", type=Path, required=True, metavar="DIR", help="pictures of a map, to measure on")
    verb.add_argument("--queries", type=Path, required=True, metavar="DIR", help="pictures of views")
    verb.add_argument("--most-pictures", type=int, default=60, help="of both, at most (%(default)s)")
    verb.add_argument("--comparisons", type=int, default=200, help="drawn from them at random (%(default)s)")
    verb.add_argument(
        "--perception-noise-nats", type=float, default=0.0, help="how far off all its answers are alike (%(default)s)"
    )
    verb.add_argument("--report", type=Path, metavar="JSON", help="write figures there, too")
    return top


def main() -> int:
    """Runs one verb; 0, or 1 with the reason."""
    return command.run(parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
