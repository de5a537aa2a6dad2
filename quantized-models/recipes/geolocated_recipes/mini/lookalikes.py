"""Places that an encoder takes for one another: what it, and a comparator behind it, has yet to tell apart.

A view's most similar tiles of all towns, its own left out (hard negatives; F. Schroff et al., "FaceNet", 2015). Sets of
such places go into one batch, in which each is a hard negative of the others.
"""

import numpy as np
import torch

from geolocated_recipes.mini.pairs import MAP_X, OVERLAP, SEED, TILE_M

# Similar tiles of a view that are looked through for places that no set has yet.
NEIGHBOURS = 64


def sets(views: torch.Tensor, maps: torch.Tensor, records: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Rows of `size` places each that look alike, `[sets, size]`; each place in one set at most.

    `views` and `maps` are unit vectors `[N, E]`, row by row of the same places; `records` `[N, 16]` are theirs.
    """
    near = torch.cat([(some @ maps.T).topk(min(NEIGHBOURS, len(maps))).indices for some in views.split(1024)]).numpy()
    places, seeds = records[:, MAP_X : MAP_X + 2], records[:, SEED]
    is_free = np.ones(len(views), dtype=bool)
    found = []
    for row in np.random.default_rng(seed).permutation(len(views)):
        if not is_free[row]:
            continue
        around = near[row]
        apart = np.abs(places[around] - places[row]).max(-1) >= OVERLAP * TILE_M
        others = around[is_free[around] & (apart | (seeds[around] != seeds[row])) & (around != row)][: size - 1]
        if len(others) == size - 1:
            found.append(np.concatenate([[row], others]))
            is_free[found[-1]] = False
    return np.array(found, dtype=np.int64).reshape(-1, size)


def near(views: torch.Tensor, maps: torch.Tensor, records: np.ndarray, size: int) -> np.ndarray:
    """Rows of the `size` tiles most similar to each view that show none of its ground, `[N, size]`, the most similar
    first; arguments as for `sets`."""
    places, seeds = records[:, MAP_X : MAP_X + 2], records[:, SEED]
    found = []
    for rows in torch.arange(len(views)).split(1024):
        own = slice(int(rows[0]), int(rows[-1]) + 1)
        apart = np.abs(places[own, None] - places[None]).max(-1) >= 2 * OVERLAP * TILE_M
        is_other = apart | (seeds[own, None] != seeds[None])
        scores = (views[own] @ maps.T).masked_fill(~torch.from_numpy(is_other), -torch.inf)
        found.append(scores.topk(size).indices)
    return torch.cat(found).numpy()
