"""Training of the head of a tower for views from above: what becomes of tokens, while the tower stays as it is.

The tower sees each picture once, so that a step costs little, and a batch holds many pairs: as many negatives as a
tower in training cannot have.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.mini.comparisons import Seen
from geolocated_recipes.mini.contrast import Contrast
from geolocated_recipes.mini.pairs import Pairs
from geolocated_recipes.mini.run import Run, order
from geolocated_recipes.mini.towers import Towers


@dataclass(frozen=True)
class HeadPlan:
    """What is trained, and how."""

    steps: int
    view: str = "nadir"
    runs: int = 8
    """Runs of rows in a batch, each of one region."""
    length: int = 64
    """Rows of a run."""
    rate: float = 3e-3
    other_rate: float = 2e-3
    scale_rate: float = 1e-2
    warm_up: int = 50
    cool: float = 1.0
    decay: float = 0.05
    averaged: float = 0.99
    seed: int = 13


class HeadTraining(Run):
    """The head learns by the loss of whole pictures; the tower stays."""

    def __init__(self, plan: HeadPlan, pairs: Pairs, seen: Seen, held_out: tuple[Pairs, Seen], folder: Path):
        self.pairs, self.seen, self.held_out = pairs, seen, held_out
        torch.manual_seed(plan.seed)
        self.towers = Towers(plan.view).requires_grad_(False)
        for part in (self.towers.reference.pool, self.towers.reference.project):
            part.requires_grad_(True)
        self.whole = Contrast(pairs, self.towers.reference.shape.embedding)
        super().__init__(plan, folder, self.towers, [self.whole], [self.whole.log_scale])
        self.firsts = pairs.runs(plan.length)
        if len(self.firsts) < plan.runs:
            raise RecipeError(f"expected at least {plan.runs * plan.length} pairs, found {len(pairs)}")

    def parts(self) -> dict[str, Any]:
        """Those of every run, the towers as they train, and what is trained beside them."""
        return {"towers": self.towers, "whole": self.whole, **super().parts()}

    def begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        """Takes a tower, with its head."""
        for towers in (self.towers, self.averaged):
            towers.reference.load_state_dict(weights)

    def loss(self) -> torch.Tensor:
        """Of whole pictures."""
        plan = self.plan
        firsts = self.firsts[order(plan.seed, len(self.firsts), self.step, plan.runs)]
        rows = np.sort((firsts[:, None] + np.arange(plan.length)).ravel())
        views, maps = vectors(self.towers, self.seen, rows)
        return self.whole(views, maps, self.seen.records[rows])

    def figures(self) -> dict:
        """Recall@1 and @5 of held-out views among the maps of all of them."""
        pairs, seen = self.held_out
        self.averaged.eval()
        with torch.inference_mode():
            found = [vectors(self.averaged, seen, rows) for rows in np.array_split(np.arange(len(seen)), 16)]
        views, maps = (torch.cat(part) for part in zip(*found, strict=True))
        scores = (views @ maps.T).masked_fill(torch.from_numpy(pairs.known(seen.records)) == 0, -1.0)
        rank = (scores > scores.diagonal()[:, None]).sum(1)
        return {"held_out_recall": {str(k): round(float((rank < k).float().mean()), 4) for k in (1, 5)}}


def vectors(towers: Towers, seen: Seen, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of the views and of the maps of these rows, of the tokens that are kept of them."""
    tokens = (torch.from_numpy(part[rows].astype(np.float32)) for part in (seen.views, seen.maps))
    return towers.vectors(*tokens)
