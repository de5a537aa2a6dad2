"""What the comparator learns from: views, each with its own tile and tiles that the encoder takes for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from geolocated_recipes.mini.network import Encoder
from geolocated_recipes.mini.pairs import MAP_X, TILE_M, VIEW_X, Pairs
from geolocated_recipes.mini.training import normalized

# Pictures that the tower sees at once.
AT_ONCE = 64


class Seen:
    """Pairs in sets of look-alikes, and what the tower says of their pictures: it stays as it is, and is asked once."""

    def __init__(self, pairs: Pairs, sets: np.ndarray, views: np.ndarray, maps: np.ndarray):
        """`sets` `[S, size]` are rows of `pairs`; `views`, `maps` `[S * size, tokens, width]` follow them."""
        self.sets, self.views, self.maps = sets, views, maps
        self.records = np.concatenate(pairs.records)[sets.ravel()]
        self.known = pairs.known

    def __len__(self) -> int:
        """Sets."""
        return len(self.sets)

    def rows(self, sets: np.ndarray) -> np.ndarray:
        """Rows of `views`, `maps` and `records` of these sets."""
        size = self.sets.shape[1]
        return (sets[:, None] * size + np.arange(size)).ravel()


def look(pairs: Pairs, sets: np.ndarray, tower: Encoder, side: int, folder: Path) -> Seen:
    """Has the tower see all pictures of the sets, once: what it says is kept in `folder`, in half precision."""
    rows, found = sets.ravel(), []
    folder.mkdir(parents=True, exist_ok=True)
    for at, name in ((1, "views"), (0, "maps")):
        path = folder / f"{name}.npy"
        if not path.exists():
            part = folder / f"{name}.npy.part"
            kept = open_memmap(part, "w+", np.float16, (len(rows), tower.shape.tokens, tower.shape.width))
            for first in range(0, len(rows), AT_ONCE):
                taken = pairs.take(rows[first : first + AT_ONCE])[at]
                with torch.inference_mode():
                    seen = tower.tokens(normalized(torch.from_numpy(taken).permute(0, 3, 1, 2), side))
                kept[first : first + AT_ONCE] = seen.numpy()
            kept.flush()
            part.rename(path)
        found.append(np.load(path, mmap_mode="r"))
    return Seen(pairs, sets, *found)


@dataclass(frozen=True)
class Asked:
    """Some queries, each with candidates of its own, the right one first."""

    queries: torch.Tensor
    """`[Q, tokens, width]`"""
    candidates: torch.Tensor
    """`[Q, C, tokens, width]`"""
    overlap: torch.Tensor
    """Share of each candidate's ground that the query shows, `[Q, C]`."""


def asked(seen: Seen, sets: np.ndarray, wrong: int, random: np.random.Generator) -> Asked:
    """The places of some sets, each with `wrong` other ones of its set that show none of its ground."""
    rows, size = seen.rows(sets), seen.sets.shape[1]
    known = seen.known(seen.records[rows])
    queries, candidates = [], []
    for at in range(len(rows)):
        first = at - at % size
        others = [other for other in range(first, first + size) if known[at, other] < 0]
        if len(others) >= wrong:
            queries.append(at)
            candidates.append([at, *random.permutation(others)[:wrong]])
    candidates = rows[np.array(candidates, dtype=np.int64).reshape(-1, 1 + wrong)]
    queries = rows[np.array(queries, dtype=np.int64)]
    ground = seen.records[queries, VIEW_X : VIEW_X + 2]
    apart = np.abs(seen.records[candidates, MAP_X : MAP_X + 2] - ground[:, None]) / TILE_M
    overlap = np.clip(1 - apart, 0, 1).prod(-1)
    # Coordinates of other worlds say nothing.
    overlap[:, 1:] = 0
    numbers = (seen.views[queries], seen.maps[candidates], overlap)
    return Asked(*(torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in numbers))
