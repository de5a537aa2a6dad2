"""A model folder: graph, data, golden pictures with their vectors, `model.toml`."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geolocated_recipes.checkpoint import Checkpoint, sha256
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.graph import INPUT, OUTPUT
from geolocated_recipes.measure import Agreement, measured_on
from geolocated_recipes.quantize import Variant

GRAPH = "model.onnx"
DATA = "model.onnx.data"
# Another decoder of JPEG and another order of additions stay above this; a wrong preprocessing does not.
GOLDEN_COSINE = 0.999
# Goldens must be told apart by GOLDEN_COSINE, with room.
ALIKE_COSINE = 0.995


@dataclass(frozen=True)
class Identity:
    """What a manifest says of a model beside its files."""

    name: str
    licence: str
    source: str


def publish(made: Path, path: Path) -> None:
    """Moves a finished folder to its place, where nothing may stand yet. Both lie in one file system."""
    if path.exists():
        raise RecipeError(f"{path}: expected nothing there, found a file or folder; remove it to write it again")
    made.chmod(0o755)
    for file in made.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
            # safetensors writes files that only their owner reads.
            file.chmod(0o644)
    made.rename(path)


def choose_goldens(paths: list[Path], vectors: np.ndarray) -> list[int]:
    """Two pictures that are least alike, in the order of their names."""
    scores = vectors @ vectors.T
    first, second = np.unravel_index(scores.argmin(), scores.shape)
    if scores[first, second] >= ALIKE_COSINE:
        found = f"{scores[first, second]:.4f} between {paths[first].name} and {paths[second].name}"
        raise RecipeError(f"golden pictures: expected two with a cosine below {ALIKE_COSINE}, found at least {found}")
    return sorted((int(first), int(second)))


def write_goldens(folder: Path, goldens: list[tuple[Path, np.ndarray]]) -> list[tuple[str, str]]:
    """Copies pictures, writes vectors; returns stem and suffix of each picture."""
    (folder / "golden").mkdir()
    stems = []
    for at, (picture, vector) in enumerate(goldens):
        stem = "abcdefgh"[at]
        shutil.copyfile(picture, folder / "golden" / f"{stem}{picture.suffix.lower()}")
        (folder / "golden" / f"{stem}.f32").write_bytes(np.ascontiguousarray(vector, dtype="<f4").tobytes())
        stems.append((stem, picture.suffix.lower()))
    return stems


def write_manifest(
    folder: Path,
    identity: Identity,
    space: str,
    checkpoint: Checkpoint,
    variant: Variant,
    reference_sha256: str,
    agreement: Agreement | None,
    goldens: list[tuple[str, str]],
) -> None:
    """`model.toml`, in the form that `docs/models.md` lists."""
    pre = checkpoint.preprocess
    side = checkpoint.tower.image_size
    lines = [
        "# The manifest of one model. Paths are relative to this file.",
        "format = 1",
        'kind = "encoder"',
        f"name = {_text(f'{identity.name}-{variant.name}')}",
        f"licence = {_text(identity.licence)}",
        f"source = {_text(identity.source)}",
        *(["trained = false             # random weights: speed and memory only"] if checkpoint.is_random else []),
        "",
        "[space]",
        f"id = {_text(space)}",
        f"dimensions = {checkpoint.dimensions}",
        "",
        "[graph]",
        f'file = "{GRAPH}"',
        f'sha256 = "{sha256(folder / GRAPH)}"',
        f'input = "{INPUT}"        # float32 [1, 3, {side}, {side}]',
        f'output = "{OUTPUT}"          # float32 [1, {checkpoint.dimensions}], unit length',
    ]
    if (folder / DATA).is_file():
        lines += ["", "[[graph.data]]", f'file = "{DATA}"', f'sha256 = "{sha256(folder / DATA)}"']
    lines += [
        "",
        "[preprocess]",
        f"width = {pre.width}",
        f"height = {pre.height}",
        f'resize = "{pre.resize}"',
        *([f"shortest_side = {pre.shortest_side}"] if pre.shortest_side else []),
        *(['margin = "floor"'] if pre.resize == "crop" else []),
        f'filter = "{pre.filter}"',
        'channels = "rgb"',
        f"mean = {list(pre.mean)}",
        f"std = {list(pre.std)}",
        "",
        "[quantization]",
        f'weights = "{variant.weights}"',
        f'activations = "{variant.activations}"',
        *(["reduce_range = true"] if variant.reduce_range else []),
        f'reference = "{reference_sha256}"',
        f"measured_on = {_text(measured_on())}",
    ]
    if agreement is not None:
        lines += [
            f"pictures = {agreement.pictures}",
            f"cosine_least = {agreement.cosine_least:.6f}",
            f"cosine_median = {agreement.cosine_median:.6f}",
        ]
        # Which of nearly equal vectors ranks first says nothing about a model that was not trained.
        if not checkpoint.is_random:
            lines += [
                f"recall_at_1 = {agreement.recall[1]:.4f}",
                f"recall_at_1_reference = {agreement.recall_reference[1]:.4f}",
            ]
    lines += ["", "[runtime]", f"order = {json.dumps(list(variant.runtimes))}"]
    for stem, suffix in goldens:
        lines += [
            "",
            "[[golden]]",
            f'image = "golden/{stem}{suffix}"',
            f'embedding = "golden/{stem}.f32"',
            f"min_cosine = {GOLDEN_COSINE}",
        ]
    (folder / "model.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)
