"""One picture of a comparison as its tower takes it: whole, at one size, without tiles.

The processors of these models can also cut a large picture into tiles, each as costly as a picture of its own. What
stands here is what they do when told not to.
"""

from pathlib import Path

from geolocated_recipes.checkpoint import read_json
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import Preprocess
from geolocated_recipes.vlm.shape import Shape


def read(folder: Path, shape: Shape) -> Preprocess:
    """The table `[preprocess]` for a model in Hugging Face's layout."""
    return from_huggingface(read_json(folder / "preprocessor_config.json"), shape)


def from_huggingface(config: dict, shape: Shape) -> Preprocess:
    """The table `[preprocess]` for `preprocessor_config.json`."""
    side = shape.vision.image_size
    size = config.get("size") or {}
    key = "max_image_size" if "max_image_size" in config else "size"
    stated = config.get("max_image_size", {}).get("longest_edge") or size.get("height") or side
    if stated != side:
        raise RecipeError(f"preprocessor_config.json: {key}: config.json says {side}, found {stated}")
    square = {"height": side, "width": side}
    return Preprocess.from_huggingface({**config, "size": square, "crop_size": None, "do_center_crop": False})
