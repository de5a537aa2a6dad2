"""From a picture to the numbers that a model takes, as Hugging Face's processors on Pillow do it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from geolocated_recipes.errors import RecipeError

FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
RESAMPLING = {
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Preprocess:
    """The table `[preprocess]` of a manifest."""

    width: int
    height: int
    resize: str
    """`stretch`, or `crop`: the shortest side to the target, then the centre."""
    filter: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    shortest_side: int | None = None
    """For `crop`: what the shortest side becomes first, where that is more than the target."""

    @staticmethod
    def from_huggingface(config: dict) -> "Preprocess":
        """Reads `preprocessor_config.json`; refuses steps that the manifest cannot say."""
        for key, expected in (("do_resize", True), ("do_rescale", True), ("do_normalize", True)):
            if config.get(key, True) is not expected:
                raise _unexpected(key, expected, config[key])
        if not math.isclose(config.get("rescale_factor", 1 / 255), 1 / 255, rel_tol=1e-6):
            raise _unexpected("rescale_factor", "1/255", config["rescale_factor"])
        resample = config.get("resample", 3)
        if resample not in FILTERS:
            raise _unexpected("resample", f"one of {sorted(FILTERS)}", resample)
        size, crop = config.get("size"), config.get("crop_size")
        # The first CLIP processors wrote one number for both.
        size = {"shortest_edge": size} if isinstance(size, int) else size
        crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
        if not isinstance(size, dict):
            raise _unexpected("size", "a number or a table", size)
        shortest_side = None
        if "shortest_edge" in size:
            if not config.get("do_center_crop", True) or not isinstance(crop, dict):
                raise _unexpected("crop_size", "a centre crop with size.shortest_edge", crop)
            width, height, resize = crop.get("width"), crop.get("height"), "crop"
            shortest_side = _side(size, "size.shortest_edge", "shortest_edge")
        else:
            if config.get("do_center_crop", False):
                raise _unexpected("do_center_crop", "false with size.height and size.width", True)
            width, height, resize = size.get("width"), size.get("height"), "stretch"
        sides = {"width": width, "height": height}
        width, height = (_side(sides, f"size.{key}", key) for key in sides)
        if shortest_side is not None and shortest_side < max(width, height):
            raise _unexpected(
                "size.shortest_edge", f"at least {max(width, height)}, the side of the crop", shortest_side
            )
        shortest_side = None if shortest_side == width == height else shortest_side
        mean, std = (_triple(config, key) for key in ("image_mean", "image_std"))
        return Preprocess(width, height, resize, FILTERS[resample], mean, std, shortest_side)

    def canonical(self) -> str:
        """One text for equal preprocessing; part of the digest that names a space."""
        numbers = " ".join(f"{value:.9g}" for value in (*self.mean, *self.std))
        resize = self.resize if self.shortest_side is None else f"{self.resize} {self.shortest_side}"
        return f"{self.width}x{self.height} {resize} {self.filter} rgb {numbers}\n"

    def resized(self, image: Image.Image) -> Image.Image:
        """`image` as RGB of `width` x `height` pixels."""
        image = image.convert("RGB")
        resampling = RESAMPLING[self.filter]
        if self.resize == "stretch":
            return image.resize((self.width, self.height), resampling)
        short, long = sorted(image.size)
        side = self.shortest_side or self.width
        scaled = int(side * long / short)
        size = (side, scaled) if image.width <= image.height else (scaled, side)
        image = image.resize(size, resampling)
        left, top = (image.width - self.width) // 2, (image.height - self.height) // 2
        return image.crop((left, top, left + self.width, top + self.height))

    def apply(self, image: Image.Image) -> np.ndarray:
        """The model's input, float32 `[1, 3, height, width]`."""
        pixels = np.asarray(self.resized(image), dtype=np.float32) / np.float32(255)
        pixels = (pixels - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])


def open_picture(path: Path) -> Image.Image:
    """A picture, upright as its EXIF orientation says."""
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).copy()


def _side(table: dict, key: str, part: str) -> int:
    side = table.get(part)
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= 4096:
        raise _unexpected(key, "1 to 4096 pixels", side)
    return side


def _triple(config: dict, key: str) -> tuple[float, float, float]:
    values = config.get(key)
    is_triple = isinstance(values, list) and len(values) == 3
    if not is_triple or not all(isinstance(value, (int, float)) for value in values):
        raise _unexpected(key, "three numbers", values)
    return tuple(float(value) for value in values)


def _unexpected(key: str, expected: object, found: object) -> RecipeError:
    return RecipeError(f"preprocessor_config.json: {key}: expected {expected}, found {found!r}")
