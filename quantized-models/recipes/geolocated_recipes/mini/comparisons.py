"""What the comparator learns from: views, each with its own tile and tiles that the encoder takes for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from geolocated_recipes.mini import places
from geolocated_recipes.mini.lookalikes import near
from geolocated_recipes.mini.network import Encoder
from geolocated_recipes.mini.pairs import GROUP, MAP_X, SEED, TILE_M, VIEW_X, Pairs
from geolocated_recipes.mini.training import normalized

# Pictures that the tower sees at once.
AT_ONCE = 64


class Seen:
    """What a tower says of the pictures of pairs, and which tiles it takes for a view: it stays as it is, and is asked
    once."""

    def __init__(self, pairs: Pairs, tokens: list[np.ndarray], vectors: list[np.ndarray], alike: np.ndarray):
        """Of maps and of views each, pair by pair: `tokens` `[N, tokens, width]`, `vectors` `[N, embedding]`; `alike`
        `[N, K]` are rows of the tiles most similar to each view that show none of its ground, the most similar first.
        """
        self.maps, self.views = tokens
        self.vectors, self.alike = vectors, alike
        self.records = np.concatenate(pairs.records)

    def __len__(self) -> int:
        """Views."""
        return len(self.alike)


def look(pairs: Pairs, tower: Encoder, side: int, folder: Path, most_alike: int = 0) -> Seen:
    """Has the tower see all pictures, once: what it says is kept in `folder`, in half precision. Without `most_alike`
    nothing is said of which tiles look alike."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens, vectors = [], []
    for at, name in enumerate(("maps", "views")):
        kept = _see(pairs, at, tower, side, folder / f"{name}.npy", folder / f"{name}-vectors.npy")
        tokens.append(kept[0])
        vectors.append(kept[1])
    if most_alike == 0:
        return Seen(pairs, tokens, vectors, np.empty((len(pairs), 0), dtype=np.int64))
    path = folder / "alike.npy"
    if not path.exists():
        found = (torch.from_numpy(vectors[at]) for at in (1, 0))
        _save(path, near(*found, np.concatenate(pairs.records), most_alike))
    return Seen(pairs, tokens, vectors, np.load(path))


def _see(
    pairs: Pairs, at: int, tower: Encoder, side: int, of_tokens: Path, of_vectors: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and vectors of all tiles (`at` is 0) or views (1), from files that are written if they are not there."""
    if not of_vectors.exists():
        kept = open_memmap(of_tokens, "w+", np.float16, (len(pairs), tower.shape.tokens, tower.shape.width))
        vectors = []
        for first in range(0, len(pairs), AT_ONCE):
            taken = pairs.take(np.arange(first, min(first + AT_ONCE, len(pairs))))[at]
            with torch.inference_mode():
                tokens = tower.tokens(normalized(torch.from_numpy(taken).permute(0, 3, 1, 2), side))
                vectors.append(tower.vector(tokens))
            kept[first : first + len(taken)] = tokens.numpy()
        kept.flush()
        _save(of_vectors, torch.cat(vectors).numpy())
    return np.load(of_tokens, mmap_mode="r"), np.load(of_vectors)


def _save(path: Path, array: np.ndarray) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, array)
    part.rename(path)


@dataclass(frozen=True)
class Asked:
    """Some queries, each with candidates of its own, the right one first."""

    queries: torch.Tensor
    """`[Q, tokens, width]`"""
    candidates: torch.Tensor
    """`[Q, C, tokens, width]`"""
    overlap: torch.Tensor
    """Share of each candidate's ground that the query shows, `[Q, C]`."""


def asked(seen: Seen, rows: np.ndarray, wrong: int, random: np.random.Generator) -> Asked:
    """The views of these rows, each with its own tile and `wrong` tiles that the encoder takes for it."""
    drawn = random.random(seen.alike[rows].shape).argsort(1)[:, :wrong]
    candidates = np.concatenate([rows[:, None], np.take_along_axis(seen.alike[rows], drawn, 1)], axis=1)
    apart = np.abs(seen.records[rows, MAP_X : MAP_X + 2] - seen.records[rows, VIEW_X : VIEW_X + 2]) / TILE_M
    overlap = np.zeros(candidates.shape, dtype=np.float32)
    overlap[:, 0] = np.clip(1 - apart, 0, 1).prod(-1)
    numbers = (seen.views[rows], seen.maps[candidates], overlap)
    return Asked(*(torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in numbers))


def told(seen: Seen, rows: np.ndarray, random: np.random.Generator) -> list[tuple[torch.Tensor, str, str]]:
    """What the tower says of the views of these rows, a question about the place of each, and its answer."""
    found = []
    for row in rows:
        others = np.flatnonzero((seen.records[:, [SEED, GROUP]] == seen.records[row, [SEED, GROUP]]).all(1))
        counts = places.COUNTS[random.integers(len(places.COUNTS))]
        scores = seen.vectors[0][others] @ seen.vectors[1][row]
        texts = places.record(seen.records[others], scores, int(np.flatnonzero(others == row)[0]), counts, random)
        found.append((torch.from_numpy(np.asarray(seen.views[row], dtype=np.float32)), *texts))
    return found
