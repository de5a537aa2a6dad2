"""Training over pairs of a map tile and a view, with negatives from the same region."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.mini.contrast import Contrast
from geolocated_recipes.mini.fronts import SIDE
from geolocated_recipes.mini.ground import shares
from geolocated_recipes.mini.network import STRIDE, Directions, Encoder, Local, Scale
from geolocated_recipes.mini.pairs import Batch, Pairs, batch
from geolocated_recipes.mini.published import Published
from geolocated_recipes.mini.run import CHECKPOINT, Run, order
from geolocated_recipes.mini.towers import Towers, shape


@dataclass(frozen=True)
class Plan:
    """What is trained, and how. The same plan and the same pairs go the same way, but for how a CPU rounds sums."""

    view: str
    """`nadir` or `street`."""
    steps: int
    """In all; the learning rate ends at this step."""
    runs: int = 2
    """Runs of rows in a batch, each of one region."""
    length: int = 32
    """Rows of a run."""
    clusters: int = 0
    """Sets of places that look alike, of `lookalikes.py`, in a batch."""
    rate: float = 5e-3
    """Largest learning rate of matrices, by Muon (K. Jordan et al., 2024)."""
    other_rate: float = 2e-3
    """Of all else, by AdamW."""
    scale_rate: float = 1e-2
    """Learning rate of temperature and bias, which have a long way to go."""
    warm_up: int = 100
    """Steps in which the rate rises."""
    cool: float = 0.6
    """Share of the steps, the last ones, in which the rate falls along half a cosine."""
    decay: float = 0.05
    """Weight decay of matrices."""
    remembered: int = 4096
    """Pairs of the batches before that are negatives, too; views from above."""
    locals: int = 24
    """Tokens of a view whose places are asked for in a step."""
    local_share: float = 1.0
    """Weight of the loss of tokens or directions."""
    averaged: float = 0.998
    """How slowly the mean of the weights follows, which is what is kept."""
    seed: int = 7


class Training(Run):
    """Towers that learn by losses of whole pictures, and of tokens (views from above) or directions: street views by
    the sigmoid loss (X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023)."""

    def __init__(self, plan: Plan, pairs: Pairs, held_out: Pairs, folder: Path, look_alikes: np.ndarray | None = None):
        self.pairs, self.held_out, self.look_alikes = pairs, held_out, look_alikes
        if plan.clusters and (look_alikes is None or len(look_alikes) < plan.clusters):
            found = "none" if look_alikes is None else len(look_alikes)
            raise RecipeError(f"expected at least {plan.clusters} sets of look-alikes, found {found}")
        torch.manual_seed(plan.seed)
        self.towers = Towers(plan.view).to(memory_format=torch.channels_last)
        remembered = (pairs, self.towers.reference.shape.embedding, plan.remembered)
        self.whole = Contrast(*remembered) if plan.view == "nadir" else Scale()
        # Where a panorama's tokens lie on the ground is not known: they have depth. Their direction is.
        seen = self.towers.reference.shape
        self.local = Local(seen.width) if plan.view == "nadir" else Directions(seen.grid[1])
        self.losses: dict[str, list[float]] = {"whole": [], "local": []}
        heads = [self.whole, self.local]
        scales = [*self.whole.parameters(), self.local.log_scale]
        super().__init__(plan, folder, self.towers, heads, scales)
        self.firsts = pairs.runs(plan.length)
        if len(self.firsts) < plan.runs:
            raise RecipeError(f"expected at least {plan.runs * plan.length} pairs, found {len(pairs)}")

    def parts(self) -> dict[str, Any]:
        """Those of every run, the towers as they train, and what is trained beside them."""
        return {"towers": self.towers, "whole": self.whole, "local": self.local, **super().parts()}

    def begin_with(self, folder: Path) -> None:
        """Takes what fits of a tower of tiles: another run's, or a model folder's. Towers begin alike."""
        kept = tower_of(folder, self.pairs)
        for tower in self.towers.encoders():
            own = tower.state_dict()
            tower.load_state_dict(
                own | {name: kept[name] for name in own if name in kept and kept[name].shape == own[name].shape}
            )
        self.averaged = deepcopy(self.towers)

    def loss(self) -> torch.Tensor:
        """Of whole pictures, and of tokens or directions."""
        plan, step = self.plan, self.step
        random, generator = np.random.default_rng([plan.seed, step]), torch.Generator().manual_seed(step)
        taken = batch(self.pairs, plan.view, self._rows(), random)
        maps, views = (jittered(normalized(pictures), generator) for pictures in (taken.maps, taken.views))
        with quick():
            tokens = self.towers.tokens(views, maps)
            of_views, of_maps = self.towers.vectors(*tokens)
        if plan.view == "nadir":
            whole = self.whole(of_views.float(), of_maps.float(), taken.records)
            local = self._local(tokens, taken, generator)
        else:
            whole = self.whole(of_views.float(), of_maps.float(), taken.known)
            local = self.local(of_views.float(), of_maps.float(), taken.known)
        self.losses["whole"].append(whole.item())
        self.losses["local"].append(local.item())
        return whole + plan.local_share * local

    def figures(self) -> dict:
        """Losses apart, temperature, and Recall@1 and @5 of held-out views among the maps of all of them."""
        apart = {f"{name}_loss": round(float(np.mean(found)), 4) for name, found in self.losses.items() if found}
        self.losses = {name: [] for name in self.losses}
        at_1, at_5 = recall(self.averaged, self.held_out)
        return {
            **apart,
            "scale": round(float(self.whole.log_scale.detach().exp()), 2),
            "held_out_recall": {"1": round(at_1, 4), "5": round(at_5, 4)},
        }

    def _rows(self) -> np.ndarray:
        """The numbers of the pairs of this step."""
        plan, step = self.plan, self.step
        firsts = self.firsts[order(plan.seed + 1, len(self.firsts), step, plan.runs)]
        rows = (firsts[:, None] + np.arange(plan.length)).ravel()
        if not plan.clusters:
            return rows
        alike = self.look_alikes[order(plan.seed + 2, len(self.look_alikes), step, plan.clusters)]
        return np.concatenate([rows, alike.ravel()])

    def _local(
        self, tokens: tuple[torch.Tensor, torch.Tensor], taken: Batch, generator: torch.Generator
    ) -> torch.Tensor:
        """The loss of some tokens of each view."""
        of_views, of_maps = tokens
        batch, count, width = of_views.shape
        right = torch.from_numpy(shares(taken.records, taken.of_maps, taken.of_views, SIDE // STRIDE))
        some = torch.rand(batch, count, generator=generator).argsort(dim=1)[:, : self.plan.locals, None]
        of_views = torch.gather(of_views, 1, some.expand(-1, -1, width))
        return self.local(of_views, of_maps, torch.gather(right, 1, some.expand(-1, -1, count)), taken.known)


def tower_of(folder: Path, pairs: Pairs) -> dict[str, torch.Tensor]:
    """Weights of the tower of tiles of a run or of a model folder for views from above, whose normalisations are
    measured on some of `pairs`."""
    if (folder / CHECKPOINT).exists():
        kept = torch.load(folder / CHECKPOINT, weights_only=True)["averaged"]
        head = "reference."
        return {name.removeprefix(head): value for name, value in kept.items() if name.startswith(head)}
    tower = Encoder(shape("nadir"))
    maps, views, _ = pairs.take(np.arange(min(128, len(pairs))))
    seen = np.concatenate([maps, views]) if maps.shape == views.shape else maps
    Published(folder / "model.onnx").give(tower, normalized(torch.from_numpy(seen).permute(0, 3, 1, 2)))
    return tower.state_dict()


def quick() -> torch.autocast:
    """Products in bfloat16 where the CPU has them; others compute them ten times slower than float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu.get_capabilities()["avx512_bf16"])


def normalized(pictures: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Levels 0 to 255 to -1 to 1, of `side` rows."""
    levels = pictures.contiguous(memory_format=torch.channels_last).float()
    if levels.shape[2] != side:
        size = (side, side * levels.shape[3] // levels.shape[2])
        levels = functional.interpolate(levels, size, mode="bicubic", antialias=True).clamp(0, 255)
    return levels / 127.5 - 1.0


def jittered(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast and colour of each picture a little changed."""
    one, each = (len(pictures), 1, 1, 1), (len(pictures), 3, 1, 1)
    gain = 1 + 0.15 * torch.randn(one, generator=generator)
    shift = 0.1 * torch.randn(one, generator=generator)
    colour = 1 + 0.06 * torch.randn(each, generator=generator)
    return (pictures * gain * colour + shift).clamp(-1.3, 1.3)


def vectors(towers: Towers, pairs: Pairs, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of the views and of the maps of these pairs, `[rows, embedding]` each."""
    towers.eval()
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    with torch.inference_mode(), quick():
        for first in range(0, len(rows), 64):
            maps, views, _ = pairs.take(rows[first : first + 64])
            parts = (normalized(torch.from_numpy(part).permute(0, 3, 1, 2)) for part in (views, maps))
            of_views, of_maps = towers(*parts)
            found.append((of_views.float(), of_maps.float()))
    towers.train()
    views, maps = (torch.cat(part) for part in zip(*found, strict=True))
    return views, maps


def recall(towers: Towers, pairs: Pairs, most: int = 1024) -> tuple[float, float]:
    """Share of views whose own map is the most similar of all, and among the five most similar."""
    rows = np.arange(min(len(pairs), most))
    views, maps = vectors(towers, pairs, rows)
    scores = views @ maps.T
    seen = ~np.isnan(np.concatenate(pairs.records)[rows, pairs.place])
    rank = (scores > scores.diagonal()[:, None]).sum(1)[torch.from_numpy(seen)]
    return float((rank < 1).float().mean()), float((rank < 5).float().mean())
