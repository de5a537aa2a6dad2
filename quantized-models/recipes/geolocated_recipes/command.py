"""What the command lines of the recipes for published models have in common."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from geolocated_recipes import catalog
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.folder import Identity


def identity(arguments: argparse.Namespace, checkpoint: Any) -> Identity:
    """Name, licence and source: from the catalog, from the command line, or those of random weights."""
    if arguments.model:
        return catalog.identify(catalog.entry(arguments.model), checkpoint, arguments.revision)
    name = arguments.name or arguments.source.resolve().name
    if checkpoint.is_random:
        return Identity(name, "CC0-1.0", "random weights; speed and memory only")
    if not (arguments.licence and arguments.origin):
        raise RecipeError("expected --model with a name of the catalog, or --licence and --origin; found neither")
    return Identity(name, arguments.licence, arguments.origin)


def add_identity(verb: argparse.ArgumentParser, named: str = "name") -> None:
    """The options that `identity` reads; `named` is what the name becomes."""
    verb.add_argument("--model", help="name in the catalog: licence and source come from there")
    verb.add_argument("--revision", help="commit that the files are of, for the manifest's source")
    verb.add_argument("--name", help=f"{named}; that of HF_FOLDER where it is not said")
    verb.add_argument("--licence", help="of weights that are not in the catalog, an SPDX expression")
    verb.add_argument("--origin", help="where weights come from that are not in the catalog")


def write_random(arguments: argparse.Namespace, write: Callable[[str, Path, int], None]) -> int:
    """A model of a true architecture with random weights, where nothing stands yet."""
    if arguments.out.exists():
        raise RecipeError(f"{arguments.out}: expected nothing there")
    write(arguments.shape, arguments.out, arguments.seed)
    print(f"{arguments.out}: {arguments.shape}, seed {arguments.seed}: speed and memory only")
    return 0


def add_random(verb: argparse.ArgumentParser, shapes: dict) -> None:
    """The options that `write_random` reads."""
    verb.add_argument("--shape", required=True, help=", ".join(shapes))
    verb.add_argument("--out", type=Path, required=True, metavar="HF_FOLDER")
    verb.add_argument("--seed", type=int, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Runs the verb that was asked for; 0, or 1 with the reason."""
    try:
        return arguments.run(arguments)
    except RecipeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
