"""Pairs of a map tile and a view of the same place, as `geolocate world pairs` writes them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from geolocated_recipes.errors import RecipeError

# Columns of records.npy; y follows x.
SEED, GROUP, MAP_X, DRONE_X, VIEW_X = 0, 1, 2, 4, 6
HEADING, HEIGHT, PITCH, STREET_X, ROLL, HFOV = 8, 9, 10, 12, 14, 15
COLUMNS = 16
TILE_M = 80.0
# Views that lie within so many tile sides of a tile's middle, but are not its own, overlap it: neither the same place
# nor another one.
OVERLAP = 0.6
VIEWS = {"nadir": ("drone.npy", VIEW_X), "street": ("street.npy", STREET_X)}


class Pairs:
    """Folders of pairs, mapped into memory. Rows of a group lie in one region: hard negatives for each other."""

    def __init__(self, folders: list[Path], view: str):
        name, self.place = VIEWS[view]
        self.maps = [_mapped(folder / "map.npy") for folder in folders]
        self.views = [_mapped(folder / name) for folder in folders]
        self.records = [np.asarray(_mapped(folder / "records.npy")) for folder in folders]
        self.starts = np.cumsum([0] + [len(records) for records in self.records])

    def __len__(self) -> int:
        """Pairs in all folders."""
        return int(self.starts[-1])

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Copies of maps and views, uint8 `[count, rows, columns, 3]`, and records of the rows of these numbers."""
        folders = np.searchsorted(self.starts, rows, side="right") - 1
        taken = [self.maps, self.views, self.records]
        found = []
        for arrays in taken:
            each = [arrays[folder][row - self.starts[folder]] for folder, row in zip(folders, rows, strict=True)]
            found.append(np.stack(each))
        return found[0], found[1], found[2]

    def runs(self, length: int) -> np.ndarray:
        """First rows of runs of `length` rows of one group."""
        bounds = zip(self.starts, self.starts[1:], strict=False)
        return np.concatenate([np.arange(start, end - length + 1, length) for start, end in bounds])

    def overlap(self, of_views: np.ndarray, of_maps: np.ndarray) -> np.ndarray:
        """Whether a map, by its record, shows ground of a view, `[views, maps]`; no for a row without a view."""
        tiles, views = of_maps[:, MAP_X : MAP_X + 2], of_views[:, self.place : self.place + 2]
        # Comparisons with places that are not a number are false.
        is_near = np.abs(tiles[None, :] - views[:, None]).max(-1) < OVERLAP * TILE_M
        return is_near & (of_maps[:, SEED][None, :] == of_views[:, SEED][:, None])

    def known(self, records: np.ndarray) -> np.ndarray:
        """Who shows whom, `[views, maps]`: 1 the same place, -1 another one, 0 overlapping, or no view at all."""
        known = np.where(self.overlap(records, records), 0.0, -1.0)
        np.fill_diagonal(known, 1.0)
        known[np.isnan(records[:, self.place])] = 0.0
        return known.astype(np.float32)

    def generator(self) -> str:
        """Version of the world that drew the pairs."""
        return ", ".join(sorted({_generator(Path(array.filename).parent) for array in self.maps}))


@dataclass(frozen=True)
class Turn:
    """How pictures were mirrored (left and right) and then turned (quarters, counter-clockwise), `[B]` each."""

    mirrored: np.ndarray
    quarters: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Pictures uint8 `[B, 3, rows, columns]`, and who shows whom, float32 `[B, B]`."""

    maps: torch.Tensor
    views: torch.Tensor
    known: torch.Tensor
    records: np.ndarray
    of_maps: Turn
    of_views: Turn


def batch(pairs: Pairs, view: str, rows: np.ndarray, random: np.random.Generator) -> Batch:
    """The pairs of these numbers, mirrored or not and turned by quarters.

    Headings of drones are arbitrary, so that map and view are turned each its own way; a panorama's north stays in its
    middle, so that it turns with the map.
    """
    maps, views, records = pairs.take(rows)
    count = len(maps)
    of_maps = Turn(random.random(count) < 0.5, random.integers(4, size=count))
    of_views = Turn(of_maps.mirrored, random.integers(4, size=count) if view == "nadir" else of_maps.quarters)
    for row in range(count):
        quarters = int(of_views.quarters[row])
        if of_maps.mirrored[row]:
            maps[row], views[row] = maps[row, :, ::-1], views[row, :, ::-1]
        maps[row] = np.rot90(maps[row], of_maps.quarters[row])
        if view == "nadir":
            views[row] = np.rot90(views[row], quarters)
        else:
            # Turned counter-clockwise, what was east is up: the panorama's right quarter comes to its middle.
            views[row] = np.roll(views[row], -quarters * views.shape[2] // 4, axis=1)
    return Batch(_tensor(maps), _tensor(views), torch.from_numpy(pairs.known(records)), records, of_maps, of_views)


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def _mapped(path: Path) -> np.ndarray:
    if not path.is_file():
        raise RecipeError(f"{path}: expected an array that `geolocate world pairs` wrote, found none")
    return np.load(path, mmap_mode="r")


def _generator(folder: Path) -> str:
    path = folder / "world.toml"
    if not path.is_file():
        raise RecipeError(f"{path}: expected what `geolocate world pairs` writes when it is done, found none")
    return str(tomllib.loads(path.read_text(encoding="utf-8"))["generator"])
