#!/usr/bin/env python3
"""Fine-tunes vision-language models to name the place of a picture (GeoLocSFT's settings). README.md explains."""

import argparse
import math
import os
import sys
from pathlib import Path

from geolocated_recipes import command
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.sft.plan import Plan


def train(arguments: argparse.Namespace) -> int:
    """Trains adapters on records of `geolocate sample --sharegpt`; goes on with what lies in --out."""
    _require()
    import torch

    from geolocated_recipes.sft import records
    from geolocated_recipes.sft.training import Tuning
    from geolocated_recipes.vlm.checkpoint import VlmCheckpoint

    if arguments.keep_every < 1:
        raise RecipeError(f"--keep-every: expected at least 1, found {arguments.keep_every}")
    has_gpu = torch.cuda.is_available()
    dtype = arguments.dtype or ("bfloat16" if has_gpu and torch.cuda.is_bf16_supported() else "float32")
    chosen = ("rank", "alpha", "rate", "epochs", "batch", "accumulate", "warm_up", "side", "seed")
    plan = Plan(dtype=dtype, **{name: getattr(arguments, name) for name in chosen})
    found = records.read(arguments.records, arguments.images)
    checkpoint = VlmCheckpoint(arguments.base, arguments.side)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tuning = Tuning(plan, checkpoint, found, arguments.images, arguments.out)
    tuning.resume()
    if has_gpu if arguments.recompute is None else arguments.recompute:
        tuning.recompute()
    tuning.run(arguments.stop_after_s, arguments.keep_every)
    print(f"{arguments.out}: step {tuning.step} of {tuning.steps}, {len(found)} records, {dtype} on {tuning.device}")
    return 0


def merge(arguments: argparse.Namespace) -> int:
    """Writes base and adapter as one model in Hugging Face's layout."""
    _require()
    from geolocated_recipes.sft.merge import merge as write

    write(arguments.base, arguments.source, arguments.out, arguments.dtype)
    print(f"{arguments.out}: written")
    return 0


def _require() -> None:
    """Refuses with a reason where the libraries are not installed. Whatever they would look up stays here."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise RecipeError(f"expected peft, torch, transformers (requirements-sft.txt), found: {error}") from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="sft.py", description=__doc__)
    verbs = top.add_subparsers(required=True, metavar="VERB")
    base = {"type": Path, "required": True, "metavar": "HF_FOLDER", "help": "of Gemma 3 or Qwen2-VL"}
    plan = Plan()

    verb = verbs.add_parser("train", help=train.__doc__)
    verb.set_defaults(run=train)
    verb.add_argument("--base", **base)
    verb.add_argument("--records", type=Path, required=True, metavar="JSON", help="by `geolocate sample --sharegpt`")
    verb.add_argument("--images", type=Path, required=True, metavar="DIR", help="the folder that pictures are named in")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoint, log and, at the end, adapter")
    for name, kind, text in (
        ("rank", int, "of the adapters"),
        ("alpha", float, "adapters count alpha / rank times"),
        ("rate", float, "largest learning rate"),
        ("epochs", int, "how often each record is seen"),
        ("batch", int, "records that go through the model together"),
        ("accumulate", int, "batches of one step"),
        ("warm-up", float, "share of the steps in which the rate rises"),
        ("seed", int, "of order and adapters"),
    ):
        default = getattr(plan, name.replace("-", "_"))
        verb.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (%(default)s)")
    verb.add_argument("--side", type=int, metavar="PIXELS", help="of pictures, for Qwen2-VL (448); as at the export")
    verb.add_argument(
        "--dtype", choices=("float32", "bfloat16"), help="of the base (bfloat16 on GPUs that have it, else float32)"
    )
    verb.add_argument(
        "--recompute",
        action=argparse.BooleanOptionalAction,
        help="activations are computed again on the way back: less memory, more time (on GPUs)",
    )
    verb.add_argument("--keep-every", type=int, default=50, metavar="STEPS", help="checkpoint and log (%(default)s)")
    verb.add_argument("--stop-after-s", type=float, default=math.inf, metavar="S", help="seconds of this run")

    verb = verbs.add_parser("merge", help=merge.__doc__)
    verb.set_defaults(run=merge)
    verb.add_argument("--base", **base)
    verb.add_argument(
        "--from", dest="source", type=Path, required=True, metavar="DIR", help="a finished run, or an adapter of peft"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="HF_FOLDER")
    verb.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the weights; bfloat16 is half as large and rounds small changes away (%(default)s)",
    )
    return top


def main() -> int:
    """Runs one verb; 0, or 1 with the reason."""
    return command.run(parser().parse_args())


if __name__ == "__main__":
    sys.exit(main())
