"""The catalog of public models, `quantized-models/catalog/`: licence, source, files."""

import re
import tomllib
from pathlib import Path

from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.folder import Identity
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint

FOLDER = Path(__file__).resolve().parents[2] / "catalog"


def entry(name: str, folder: Path = FOLDER) -> dict:
    """One entry by its name."""
    path = folder / f"{name}.toml"
    if Path(name).name != name or not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise RecipeError(f"--model: expected a name of the catalog ({known}), found {name}")
    with path.open("rb") as file:
        return tomllib.load(file)


def identify(found: dict, checkpoint: Checkpoint | VlmCheckpoint, revision: str | None) -> Identity:
    """What the manifest says, from a catalog entry. Digests that the entry states must be those of the files."""
    if isinstance(checkpoint, Checkpoint):
        kind, side, recipe = "encoder", checkpoint.tower.image_size, checkpoint.tower.architecture
        width = checkpoint.dimensions
    else:
        shape = checkpoint.shape
        kind, side, recipe, width = "comparator", shape.vision.image_size, shape.architecture, shape.text.hidden_size
        # Where the architecture takes pictures of any size, the entry's is a proposal.
        side = found["input_px"] if shape.takes_any_side else side
    expectations = (
        ("kind", found["kind"], kind),
        ("input_px", found["input_px"], side),
        ("dimensions", found["dimensions"], width),
        ("recipe", found["recipe"], recipe),
    )
    for key, expected, got in expectations:
        if expected != got:
            raise RecipeError(f"{checkpoint.folder}: {key}: the catalog says {expected}, found {got}")
    stated = {file["path"]: file["sha256"] for file in found.get("files", []) if "sha256" in file}
    digests = checkpoint.weights_digest()
    for name, digest in digests:
        if stated.get(name, digest) != digest:
            raise RecipeError(f"{checkpoint.folder / name}: expected sha256 {stated[name]}, found {digest}")
    weights = ", ".join(f"{name} {digest}" for name, digest in digests)
    revision = revision or found.get("revision", "main")
    return Identity(
        short_name(found["name"]), found["licence"], f"{found['repo']}, revision {revision}; sha256 {weights}"
    )


def short_name(name: str) -> str:
    """The name in spaces: `siglip-base-patch16-224` is `siglip-b16-224`."""
    for size, short in (("base-patch", "b"), ("large-patch", "l"), ("so400m-patch", "so400m")):
        name = re.sub(rf"\b{size}(\d+)", rf"{short}\1", name)
    return name
