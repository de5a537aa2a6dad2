#!/usr/bin/env python3
"""Makes model folders for geolocated from vision towers in Hugging Face's layout. README.md explains the recipes."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from geolocated_recipes import command, measure, parity, pictures, randoms
from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.export import Export, Request
from geolocated_recipes.folder import GRAPH
from geolocated_recipes.quantize import VARIANTS

PICTURES = Path(__file__).resolve().parent / "pictures"


def export(arguments: argparse.Namespace) -> int:
    """Export, quantize, check, write."""
    checkpoint = Checkpoint(arguments.source)
    request = Request(
        checkpoint=checkpoint,
        identity=command.identity(arguments, checkpoint),
        out=arguments.out,
        variants=list(dict.fromkeys(arguments.variants.split(","))),
        golden_pictures=pictures.find(arguments.golden, 16),
        measured=pictures.find(arguments.pictures, arguments.most_pictures),
        positions=pictures.positions(arguments.positions),
        metres=arguments.metres,
        with_reference=not arguments.no_reference,
    )
    run = Export(request)
    report = run.run()
    if arguments.report:
        arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print_report(report, arguments.out)
    for name, reason in report["refused"].items():
        print(f"not written: {name}: {reason}", file=sys.stderr)
    return 1 if report["refused"] else 0


def print_report(report: dict, out: Path) -> None:
    """What was made, as a table."""
    if note := report.get("note"):
        print(note)
    checked = report["reference"]
    if isinstance(checked, dict):
        print(f"fp32 graph to {checked['by']}: most {checked['most_difference']:.1e} ({checked['pictures']} pictures)")
    else:
        print(f"fp32 graph: {checked}")
    print(f"{'variant':14} {'MB':>8} {'pictures':>8} {'cosine least':>12} {'median':>9}  {'Recall@1/5/10':14}  space")
    for name, entry in report["variants"].items():
        found = entry["agreement"]
        columns = f"{'':>8} {'':>12} {'':>9}  {'':14}"
        if found:
            recall = "" if note else "/".join(f"{found['recall'][k]:.2f}" for k in measure.RECALL_AT)
            columns = f"{found['pictures']:8} {found['cosine_least']:12.6f} {found['cosine_median']:9.6f}  {recall:14}"
        print(f"{name:14} {entry['bytes'] / 1e6:8.1f} {columns}  {entry.get('space', 'not written')}")
    print(f"written below {out}")


def random(arguments: argparse.Namespace) -> int:
    """A model of a true architecture with random weights."""
    return command.write_random(arguments, randoms.write)


def bench(arguments: argparse.Namespace) -> int:
    """Model folders side by side, one thread, in turn."""
    graphs = {folder.name: folder / GRAPH for folder in arguments.folders}
    shapes = {tuple(measure.session(path).get_inputs()[0].shape) for path in graphs.values()}
    if len(shapes) != 1:
        raise RecipeError(f"expected graphs with inputs of one shape, found {sorted(shapes)}")
    pixels = np.random.default_rng(0).uniform(-1, 1, next(iter(shapes))).astype(np.float32)
    times = measure.speed(graphs, pixels, arguments.rounds)
    first = np.median(next(iter(times.values())))
    print(f"{measure.measured_on()}; one thread, CPU ms per picture over {arguments.rounds} rounds in turn")
    print(f"{'model':40} {'least':>8} {'median':>8} {'p95':>8} {'to first':>8}")
    for name, spent in times.items():
        least, median, high = (np.quantile(spent, at) for at in (0, 0.5, 0.95))
        print(f"{name:40} {least:8.1f} {median:8.1f} {high:8.1f} {median / first:8.3f}")
    return 0


def record(arguments: argparse.Namespace) -> int:
    """What Hugging Face's processors make of pictures, for tests of other implementations."""
    if arguments.out.exists():
        raise RecipeError(f"{arguments.out}: expected nothing there")
    parity.record(arguments.source, arguments.root, pictures.find(arguments.pictures, 1000), arguments.out)
    print(f"{arguments.out}: written")
    return 0


def convert(arguments: argparse.Namespace) -> int:
    """pytorch_model.bin to model.safetensors, in place. Needs torch."""
    try:
        import torch
        from safetensors.torch import save_file
    except ImportError as error:
        raise RecipeError(f"expected torch (requirements-reference.txt), found none: {error}") from error
    source, target = arguments.folder / "pytorch_model.bin", arguments.folder / "model.safetensors"
    if target.exists():
        raise RecipeError(f"{target}: expected nothing there")
    # weights_only: tensors and plain containers; code in the file is refused, not run.
    tensors = torch.load(source, map_location="cpu", weights_only=True)
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in tensors.items()}, target, metadata={"format": "pt"}
    )
    print(f"{target}: {len(tensors)} tensors")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="encoder.py", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("export", help=export.__doc__)
    verb.set_defaults(run=export)
    verb.add_argument(
        "--from",
        dest="source",
        type=Path,
        required=True,
        metavar="HF_FOLDER",
        help="config.json, preprocessor_config.json, model.safetensors",
    )
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets a folder NAME-VARIANT for each")
    verb.add_argument("--variants", default="fp32,int8", help=f"some of {','.join(VARIANTS)} (%(default)s)")
    command.add_identity(verb, "name and space")
    verb.add_argument(
        "--pictures",
        type=Path,
        nargs="*",
        default=[],
        metavar="PATH",
        help="pictures or folders of them, that quantized variants are measured on",
    )
    verb.add_argument("--most-pictures", type=int, default=400, help="measure on at most so many (%(default)s)")
    verb.add_argument(
        "--positions",
        type=Path,
        nargs="*",
        default=[],
        metavar="CSV",
        help="file,lat,lon of the pictures: Recall@K by position; else by fp32's nearest neighbour",
    )
    verb.add_argument("--metres", type=float, default=25.0, help="what counts as found (%(default)s)")
    verb.add_argument(
        "--golden",
        type=Path,
        nargs="+",
        default=[PICTURES],
        metavar="PATH",
        help="pictures or folders of them; two become the goldens, the least alike (those beside the recipe)",
    )
    verb.add_argument("--no-reference", action="store_true", help="go without the check against transformers")
    verb.add_argument("--report", type=Path, metavar="JSON", help="write figures there, too")

    verb = verbs.add_parser("random", help=random.__doc__)
    verb.set_defaults(run=random)
    command.add_random(verb, randoms.SHAPES)

    verb = verbs.add_parser("bench", help=bench.__doc__)
    verb.set_defaults(run=bench)
    verb.add_argument("folders", type=Path, nargs="+", metavar="MODEL_FOLDER")
    verb.add_argument("--rounds", type=int, default=20)

    verb = verbs.add_parser("record", help=record.__doc__)
    verb.set_defaults(run=record)
    verb.add_argument("--from", dest="source", type=Path, required=True, metavar="HF_FOLDER")
    verb.add_argument("--pictures", type=Path, nargs="+", required=True, metavar="PATH")
    verb.add_argument("--root", type=Path, required=True, help="pictures are named relative to this folder")
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER")

    verb = verbs.add_parser("convert", help=convert.__doc__)
    verb.set_defaults(run=convert)
    verb.add_argument("folder", type=Path, metavar="HF_FOLDER")
    return top


def main() -> int:
    """Runs one verb; 0, or 1 with the reason."""
    return command.run(parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
