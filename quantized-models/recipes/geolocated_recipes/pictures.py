"""Pictures that variants are measured on, and their positions."""

import csv
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import Preprocess, open_picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find(paths: list[Path], most: int) -> list[Path]:
    """Pictures, and those in folders, in the order of their names, spread evenly when there are more than `most`."""
    found: set[Path] = set()
    for path in paths:
        if path.is_file():
            found.add(path)
        elif path.is_dir():
            found.update(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        else:
            raise RecipeError(f"expected a picture or a folder of pictures, found nothing at {path}")
    step = max(1, -(-len(found) // most))
    return sorted(found)[::step]


def read(paths: list[Path], preprocess: Preprocess) -> tuple[list[Path], list[np.ndarray]]:
    """Model inputs; a picture that does not open is left out."""
    kept, inputs = [], []
    for path in paths:
        try:
            inputs.append(preprocess.apply(open_picture(path)))
        except (OSError, UnidentifiedImageError):
            continue
        kept.append(path)
    return kept, inputs


def positions(tables: list[Path]) -> dict[str, tuple[float, float]]:
    """Latitude and longitude in degrees by file name, from CSV tables with the columns file, lat, lon."""
    found: dict[str, tuple[float, float]] = {}
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if missing := {"file", "lat", "lon"} - set(rows.fieldnames or ()):
                raise RecipeError(
                    f"{table}: expected the columns file, lat, lon; missing: {', '.join(sorted(missing))}"
                )
            for row in rows:
                if row["lat"] and row["lon"]:
                    found[Path(row["file"]).name] = (float(row["lat"]), float(row["lon"]))
    return found
