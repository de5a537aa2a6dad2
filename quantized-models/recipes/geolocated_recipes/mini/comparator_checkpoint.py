"""A trained comparator as the export of comparators reads models: sizes, tensors by name, vocabulary, preprocessing."""

import json
from pathlib import Path

import numpy as np
import torch

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.graph import Graph
from geolocated_recipes.mini.comparator import Comparator, tokenizer
from geolocated_recipes.mini.run import CHECKPOINT
from geolocated_recipes.mini.tower_graph import MiniGraph
from geolocated_recipes.preprocess import Preprocess

HALF = (0.5, 0.5, 0.5)


class ComparatorCheckpoint:
    """The mean of a run's weights."""

    is_random = False

    def __init__(self, run: Path):
        path = run / CHECKPOINT
        if not path.is_file():
            raise RecipeError(f"{path}: expected the checkpoint of a comparator's training, found none")
        state = torch.load(path, weights_only=True)
        self.comparator = Comparator(state["plan"]["side"]).eval()
        self.comparator.load_state_dict(state["averaged"])
        self.shape = self.comparator.sizes
        self.missing: list[str] = []
        self._tensors = {name: value.numpy() for name, value in self.comparator.state_dict().items()}
        self._tensors["tower.norm.bias"] = self._tensors["tower.norm.bias"] - self._tensors["shared"]

    def tensor(self, name: str, expected: tuple[int, ...] | None = None) -> np.ndarray:
        """One tensor by the name that exports use."""
        array = self._tensors[name]
        if expected is not None and array.shape != expected:
            raise RecipeError(f"{name}: expected shape {expected}, found {array.shape}")
        return array

    def rows(self) -> np.ndarray:
        """The rows that make logits, `[vocabulary, width]`."""
        return self.tensor("text.embed_tokens.weight")

    def preprocess(self) -> Preprocess:
        """The table `[preprocess]`."""
        side = self.shape.vision.image_size
        return Preprocess(side, side, "stretch", "bicubic", HALF, HALF)

    def tokenizer(self) -> str:
        """The content of `tokenizer.json`."""
        return json.dumps(tokenizer(), ensure_ascii=False)

    def vision_tokens(self, graph: Graph) -> str:
        """Writes the tower into `graph`; returns the name of its tokens, `[1, tokens, width]`."""
        head = "tower."
        weights = {name.removeprefix(head): value for name, value in self._tensors.items() if name.startswith(head)}
        return MiniGraph(weights, self.comparator.tower.shape, "plain", graph).write_tokens()

    def reference(self) -> "ComparatorCheckpoint":
        """What exports are held to: torch."""
        return self

    def version(self) -> str:
        """For reports."""
        return f"torch {torch.__version__}"

    @torch.inference_mode()
    def logits(self, tokens: np.ndarray, is_picture: np.ndarray, pixels: list[np.ndarray]) -> np.ndarray:
        """Logits of the last of `tokens`, `[vocabulary]`; `pixels` are `[1, 3, side, side]` each."""
        return self.comparator.whole(tokens, is_picture, pixels)
