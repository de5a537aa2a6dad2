#!/usr/bin/env python3
"""Makes comparator folders for geolocated from vision-language models in Hugging Face's layout. README.md explains."""

import argparse
import json
import sys
from pathlib import Path

from geolocated_recipes import command, pictures
from geolocated_recipes.measure import measured_on
from geolocated_recipes.vlm import bench as benches
from geolocated_recipes.vlm import randoms
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.export import Export, Request
from geolocated_recipes.vlm.variants import VARIANTS

PICTURES = Path(__file__).resolve().parent / "pictures"


def export(arguments: argparse.Namespace) -> int:
    """Export, quantize, check, write."""
    checkpoint = VlmCheckpoint(arguments.source, arguments.side)
    request = Request(
        checkpoint=checkpoint,
        identity=command.identity(arguments, checkpoint),
        out=arguments.out,
        variants=list(dict.fromkeys(arguments.variants.split(","))),
        form="plain" if arguments.plain or arguments.blocks_independent else "grouped",
        golden_pictures=pictures.find(arguments.golden, 4),
        measured=pictures.find(arguments.pictures, arguments.most_pictures),
        comparisons=arguments.comparisons,
        all_rows=arguments.all_rows,
        blocks_independent=arguments.blocks_independent,
        with_reference=not arguments.no_reference,
    )
    report = Export(request).run()
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
    if not report["pieces_as_whole"]:
        print("the pieces of a comparison have other tokens than the same text as a whole: look at [prompt]")
    checked = report["reference"]
    if isinstance(checked, dict):
        checked = f"to {checked['by']}: most {checked['most_difference']:.1e} ({checked['prompts']} prompts)"
    print(f"logits of the fp32 graphs: {checked}")
    print(
        f"{'variant':14} {'MB':>8} {'compared':>8} {'error median':>12} {'most':>7} {'of spread':>9} "
        f"{'signs kept':>10} {'correlation':>11}"
    )
    for name, entry in report["variants"].items():
        line = f"{name:14} {entry['bytes'] / 1e6:8.1f}"
        if found := entry["agreement"]:
            line += f" {found['comparisons']:8} {found['margin_error_median']:12.4f} {found['margin_error_most']:7.3f}"
            line += f" {found['spread']:9.3f} {found['signs_kept']:10.3f} {found['correlation']:11.4f}"
        print(line)
    print(f"written below {out}")


def random(arguments: argparse.Namespace) -> int:
    """A model of a true architecture with random weights."""
    return command.write_random(arguments, randoms.write)


def bench(arguments: argparse.Namespace) -> int:
    """The steps of a comparison, models side by side, one thread, in turn."""
    models = {folder.name: benches.Steps(folder) for folder in arguments.folders}
    times = benches.measure(models, arguments.rounds)
    print(f"{measured_on()}; one thread, CPU ms, median of {arguments.rounds} rounds in turn")
    for name, model in models.items():
        print(f"{name}: tokens of prefix, first, second, suffix: {','.join(map(str, model.tokens()))}")
    print("\n".join(benches.table(times)))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="comparator.py", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")

    verb = verbs.add_parser("export", help=export.__doc__)
    verb.set_defaults(run=export)
    verb.add_argument(
        "--from",
        dest="source",
        type=Path,
        required=True,
        metavar="HF_FOLDER",
        help="config.json, preprocessor_config.json, tokenizer.json, model.safetensors",
    )
    verb.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets a folder NAME-VARIANT for each")
    verb.add_argument("--variants", default="fp32,int8", help=f"some of {','.join(VARIANTS)} (%(default)s)")
    verb.add_argument(
        "--pictures",
        type=Path,
        nargs="*",
        default=[],
        metavar="PATH",
        help="pictures or folders of them, that quantized variants are measured on",
    )
    verb.add_argument("--most-pictures", type=int, default=40, help="measure on at most so many (%(default)s)")
    verb.add_argument("--comparisons", type=int, default=40, help="drawn from them at random (%(default)s)")
    verb.add_argument("--report", type=Path, metavar="JSON", help="write figures there, too")
    verb.add_argument("--plain", action="store_true", help="a decoder of plain operators, which tract runs, too")
    verb.add_argument(
        "--blocks-independent",
        action="store_true",
        help="candidates see the prefix and themselves alone: for models that were trained so; plain",
    )
    verb.add_argument(
        "--all-rows",
        action="store_true",
        help="logits of the whole vocabulary, not of the answers alone: a model that can write answers, too",
    )
    verb.add_argument(
        "--side", type=int, metavar="PIXELS", help="of pictures, where the architecture takes any: Qwen2-VL (448)"
    )
    verb.add_argument("--no-reference", action="store_true", help="go without the check against transformers")
    command.add_identity(verb)
    verb.add_argument(
        "--golden",
        type=Path,
        nargs="+",
        default=[PICTURES],
        metavar="PATH",
        help="at least three pictures, or folders of them, for golden comparisons (those beside the recipe)",
    )

    verb = verbs.add_parser("random", help=random.__doc__)
    verb.set_defaults(run=random)
    command.add_random(verb, randoms.SHAPES)

    verb = verbs.add_parser("bench", help=bench.__doc__)
    verb.set_defaults(run=bench)
    verb.add_argument("folders", type=Path, nargs="+", metavar="MODEL_FOLDER")
    verb.add_argument("--rounds", type=int, default=10)
    return top


def main() -> int:
    """Runs one verb; 0, or 1 with the reason."""
    return command.run(parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
