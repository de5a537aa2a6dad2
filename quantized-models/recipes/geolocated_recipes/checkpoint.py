"""A model in Hugging Face's layout: `config.json`, `preprocessor_config.json`, weights as safetensors."""

import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import Preprocess
from geolocated_recipes.tower import Tower, from_config

# Written by `encoder.py random`; such weights have no accuracy, and no report may claim any.
RANDOM_MARK = "geolocated_random_weights_seed"
DTYPES = ("F32", "F16")


class Checkpoint:
    """The vision tower of a model folder. Weights are read when asked for, as float32."""

    def __init__(self, folder: Path):
        self.folder = folder
        config = read_json(folder / "config.json")
        self.tower: Tower = from_config(config)
        self.is_random: bool = RANDOM_MARK in config
        self.preprocess = Preprocess.from_huggingface(read_json(folder / "preprocessor_config.json"))
        side = self.tower.image_size
        if (self.preprocess.width, self.preprocess.height) != (side, side):
            found = f"{self.preprocess.width} x {self.preprocess.height}"
            raise RecipeError(f"preprocessor_config.json: size: config.json says {side} x {side}, found {found}")
        self.shapes = tensor_shapes(self.tower)
        self._files = self._locate()
        self.dimensions = self._check_shapes()

    def tensor(self, name: str) -> np.ndarray:
        """One tensor as finite float32."""
        with safe_open(self._files[name], framework="numpy") as file:
            array = file.get_tensor(name).astype(np.float32)
        if not np.isfinite(array).all():
            raise RecipeError(f"{self._files[name]}: {name}: expected finite numbers, found NaN or infinity")
        return array

    def digest(self) -> str:
        """SHA-256 over the tower's fp32 weights and its preprocessing, in a canonical form.

        For each tensor by name: name, shape, little-endian float32. It depends neither on the exporter nor on how the
        weights are cut into files, so it names the space of the vectors.
        """
        digest = hashlib.sha256()
        for name in sorted(self.shapes):
            array = np.ascontiguousarray(self.tensor(name), dtype="<f4")
            digest.update(f"{name} {list(array.shape)}\n".encode())
            digest.update(array.data)
        digest.update(self.preprocess.canonical().encode())
        return digest.hexdigest()

    def weights_digest(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of each weights file, as the publisher's page states them."""
        return [(path.name, sha256(path)) for path in sorted(set(self._files.values()))]

    def _locate(self) -> dict[str, Path]:
        """Which file holds which of the tower's tensors."""
        index, single = self.folder / "model.safetensors.index.json", self.folder / "model.safetensors"
        if index.is_file():
            weight_map = read_json(index).get("weight_map", {})
            files = {name: self._inside(weight_map[name], index) for name in self.shapes if name in weight_map}
        elif single.is_file():
            files = dict.fromkeys(self.shapes, single)
        else:
            hint = ""
            if (self.folder / "pytorch_model.bin").is_file():
                hint = "; pytorch_model.bin can run code when it is read: convert it first (encoder.py convert)"
            raise RecipeError(f"{self.folder}: expected model.safetensors or model.safetensors.index.json{hint}")
        if missing := sorted(set(self.shapes) - set(files)):
            raise RecipeError(f"{index}: weight_map: expected {missing[0]} and {len(missing) - 1} more, found none")
        return files

    def _inside(self, name: str, index: Path) -> Path:
        if Path(name).name != name or not (self.folder / name).is_file():
            raise RecipeError(f"{index}: weight_map: expected a file of this folder, found {name!r}")
        return self.folder / name

    def _check_shapes(self) -> int:
        """All tensors are there in their shapes; returns the width of an embedding."""
        dimensions = self.tower.hidden_size
        for path in sorted(set(self._files.values())):
            try:
                with safe_open(path, framework="numpy") as file:
                    names = set(file.keys())
                    for name in (name for name, where in self._files.items() if where == path):
                        if name not in names:
                            raise RecipeError(f"{path}: expected a tensor {name}, found none")
                        part = file.get_slice(name)
                        found = tuple(part.get_shape())
                        expected = self.shapes[name]
                        if name == "visual_projection.weight" and len(found) == 2:
                            dimensions = found[0]
                            expected = (dimensions, expected[1])
                        if found != expected:
                            raise RecipeError(f"{path}: {name}: expected shape {expected}, found {found}")
                        if part.get_dtype() not in DTYPES:
                            raise RecipeError(
                                f"{path}: {name}: expected {' or '.join(DTYPES)}, found {part.get_dtype()}"
                            )
            except SafetensorError as error:
                raise RecipeError(f"{path}: expected safetensors, found {error}") from error
        return dimensions


def tensor_shapes(tower: Tower, projection: int = 0) -> dict[str, tuple[int, ...]]:
    """The tensors of a vision tower by their published names. `projection` is CLIP's, 0 where it is not known yet."""
    width, inner, patch = tower.hidden_size, tower.intermediate_size, tower.patch_size
    root = "vision_model"
    shapes: dict[str, tuple[int, ...]] = {
        f"{root}.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        f"{root}.embeddings.position_embedding.weight": (tower.tokens, width),
    }

    def norm(name: str) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def linear(name: str, outputs: int, inputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    for layer in range(tower.layers):
        base = f"{root}.encoder.layers.{layer}"
        norm(f"{base}.layer_norm1")
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{base}.self_attn.{part}", width, width)
        norm(f"{base}.layer_norm2")
        linear(f"{base}.mlp.fc1", inner, width)
        linear(f"{base}.mlp.fc2", width, inner)
    norm(f"{root}.post_layernorm")
    if tower.architecture == "clip":
        shapes[f"{root}.embeddings.class_embedding"] = (width,)
        norm(f"{root}.pre_layrnorm")  # the published name has this typing error
        shapes["visual_projection.weight"] = (projection, width)
    else:
        shapes[f"{root}.embeddings.patch_embedding.bias"] = (width,)
        head = f"{root}.head"
        shapes[f"{head}.probe"] = (1, 1, width)
        shapes[f"{head}.attention.in_proj_weight"] = (3 * width, width)
        shapes[f"{head}.attention.in_proj_bias"] = (3 * width,)
        linear(f"{head}.attention.out_proj", width, width)
        norm(f"{head}.layernorm")
        linear(f"{head}.mlp.fc1", inner, width)
        linear(f"{head}.mlp.fc2", width, inner)
    return shapes


def read_json(path: Path) -> dict:
    """A JSON object from a file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: expected a JSON file, found {error}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
