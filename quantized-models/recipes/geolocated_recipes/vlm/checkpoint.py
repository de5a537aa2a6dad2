"""A vision-language model in Hugging Face's layout. Weights are read when asked for, as float32."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from geolocated_recipes.checkpoint import RANDOM_MARK, read_json, sha256
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import Preprocess
from geolocated_recipes.vlm import preprocess, shape

# Our name of a part: what the name of a tensor may begin with, in published files and in those that transformers saves.
PREFIXES = {
    "smolvlm": {
        "vision_model.": ("model.vision_model.",),
        "text.": ("model.text_model.",),
        "connector.": ("model.connector.modality_projection.",),
        "head.": ("lm_head.",),
    },
    "llava_onevision": {
        "vision_model.": ("vision_tower.vision_model.", "model.vision_tower.vision_model.", "model.vision_tower."),
        "text.": ("language_model.model.", "model.language_model."),
        "connector.": ("multi_modal_projector.", "model.multi_modal_projector."),
        "newline": ("image_newline", "model.image_newline"),
        "head.": ("language_model.lm_head.", "lm_head."),
    },
    "qwen2_vl": {
        "vision_model.": ("visual.", "model.visual."),
        "text.": ("model.", "model.language_model."),
        "connector.": ("visual.merger.", "model.visual.merger."),
        "head.": ("lm_head.",),
    },
    "gemma3": {
        "vision_model.": ("vision_tower.vision_model.", "model.vision_tower.vision_model.", "model.vision_tower."),
        "text.": ("language_model.model.", "model.language_model."),
        "connector.": ("multi_modal_projector.", "model.multi_modal_projector."),
        "head.": ("language_model.lm_head.", "lm_head."),
    },
}
DTYPES = {"F32": ("<f4", 4), "F16": ("<f2", 2), "BF16": ("<u2", 2)}


class VlmCheckpoint:
    """The model of one folder: `config.json`, `preprocessor_config.json`, `tokenizer.json`, safetensors."""

    def __init__(self, folder: Path, side: int | None = None):
        self.folder = folder
        config = read_json(folder / "config.json")
        self.shape = shape.from_config(config, side)
        self.is_random: bool = RANDOM_MARK in config
        self.files = self._weights()
        self._where = {name: (path, entry) for path in self.files for name, entry in _header(path)}
        self._prefixes = PREFIXES[self.shape.architecture]

    def has(self, name: str) -> bool:
        """Whether the files hold a tensor, by our name."""
        return any(full in self._where for full in self._full(name))

    def tensor(self, name: str, expected: tuple[int, ...] | None = None) -> np.ndarray:
        """One tensor as finite float32, by our name."""
        candidates = self._full(name)
        full = next((full for full in candidates if full in self._where), None)
        if full is None:
            raise RecipeError(f"{self.folder}: expected a tensor {candidates[0]}, found none")
        path, entry = self._where[full]
        array = _read(path, full, entry)
        if expected is not None and array.shape != expected:
            raise RecipeError(f"{path}: {full}: expected shape {expected}, found {array.shape}")
        if not np.isfinite(array).all():
            raise RecipeError(f"{path}: {full}: expected finite numbers, found NaN or infinity")
        return array

    def weights_digest(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of each weights file, as the publisher's page states them."""
        return [(path.name, sha256(path)) for path in self.files]

    def rows(self) -> np.ndarray:
        """The rows that make logits, `[vocabulary, width]`."""
        text = self.shape.text
        name = "head.weight" if self.has("head.weight") else "text.embed_tokens.weight"
        if name.startswith("text.") and not text.is_tied:
            raise RecipeError(f"{self.folder}: expected a tensor {self._full('head.weight')[0]}, found none")
        return self.tensor(name, (text.vocabulary, text.hidden_size))

    def preprocess(self) -> Preprocess:
        """The table `[preprocess]`."""
        return preprocess.read(self.folder, self.shape)

    def tokenizer(self) -> str:
        """The content of `tokenizer.json`."""
        return (self.folder / "tokenizer.json").read_text(encoding="utf-8")

    def reference(self) -> Any:
        """What exports are held to: transformers."""
        from geolocated_recipes.vlm.reference import Reference

        return Reference(self)

    def _full(self, name: str) -> list[str]:
        for part, prefixes in self._prefixes.items():
            if name.startswith(part):
                return [prefix + name.removeprefix(part) for prefix in prefixes]
        return [name]

    def _weights(self) -> list[Path]:
        index, single = self.folder / "model.safetensors.index.json", self.folder / "model.safetensors"
        if not index.is_file():
            if not single.is_file():
                raise RecipeError(f"{self.folder}: expected model.safetensors or model.safetensors.index.json")
            return [single]
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        for name in names:
            if Path(name).name != name or not (self.folder / name).is_file():
                raise RecipeError(f"{index}: weight_map: expected a file of this folder, found {name!r}")
        return [self.folder / name for name in names]


def _header(path: Path) -> list[tuple[str, dict]]:
    """Names, types, shapes and places of the tensors of a safetensors file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))[0]
        if length > min(size - 8, 100_000_000):
            raise RecipeError(f"{path}: expected safetensors, found a header of {length} bytes in {size}")
        try:
            header = json.loads(file.read(length))
            entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
            for name, entry in entries:
                first, end = entry["data_offsets"]
                width = DTYPES[entry["dtype"]][1]
                if not (0 <= first <= end <= size - 8 - length) or end - first != width * int(np.prod(entry["shape"])):
                    raise RecipeError(f"{path}: {name}: expected its data inside the file, found {first} to {end}")
                entry["at"] = 8 + length + first
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecipeError(
                f"{path}: expected safetensors of {', '.join(DTYPES)}, found {type(error).__name__} {error}"
            ) from error
    return entries


def _read(path: Path, name: str, entry: dict) -> np.ndarray:
    dtype, _ = DTYPES[entry["dtype"]]
    count = int(np.prod(entry["shape"]))
    array = np.fromfile(path, dtype=dtype, count=count, offset=entry["at"])
    if array.size != count:
        raise RecipeError(f"{path}: {name}: expected {count} numbers, found {array.size}")
    if entry["dtype"] == "BF16":
        # bfloat16 is the upper half of a float32.
        array = (array.astype("<u4") << 16).view("<f4")
    return array.astype(np.float32).reshape(entry["shape"])
