"""What Hugging Face's processors make of pictures, recorded so that other implementations can be held to it."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from geolocated_recipes import reference
from geolocated_recipes.checkpoint import Checkpoint, sha256
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import open_picture

# Small enough to keep for many pictures, and a strong reduction: kernels and rounding show.
SIDE = 32
# Name: processor of transformers and its settings; the values of `resample` are Pillow's.
PIXELS = {
    "stretch_bicubic": ("SiglipImageProcessor", {"size": {"height": SIDE, "width": SIDE}, "resample": 3}),
    "stretch_bilinear": ("SiglipImageProcessor", {"size": {"height": SIDE, "width": SIDE}, "resample": 2}),
    "crop_bicubic": (
        "CLIPImageProcessor",
        {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}, "resample": 3},
    ),
}


def record(source: Path, root: Path, pictures: list[Path], out: Path) -> None:
    """Writes `reference.json` into the new folder `out`, and the resized pixels of each picture as PNG files.

    Embeddings are those of the model in `source`, by transformers, one for each backend of its processor. Pictures are
    named relative to `root`. Pixels are those of Pillow's backend before they are scaled and normalised.
    """
    if not reference.is_installed():
        raise RecipeError("expected transformers and torch (requirements-reference.txt), found none")
    checkpoint = Checkpoint(source)
    truth, processors = reference.Reference(checkpoint), reference.processors(source)
    out.mkdir()
    cases = []
    for at, path in enumerate(pictures):
        image = open_picture(path).convert("RGB")
        case = {"picture": path.resolve().relative_to(root.resolve()).as_posix(), "sha256": sha256(path)}
        case["embedding"] = {name: _embedding(truth, processor, image) for name, processor in processors.items()}
        case["pixels"] = {}
        for name in PIXELS:
            case["pixels"][name] = f"{at:02}_{name}.png"
            _pixels(name, image).save(out / case["pixels"][name], optimize=True)
        cases.append(case)
    weights = f"{source.resolve().name}, canonical digest {checkpoint.digest()}"
    head = json.dumps({"made_by": reference.version(), "weights": weights})
    lines = ",\n".join(json.dumps(case) for case in cases)
    (out / "reference.json").write_text(f'{head[:-1]},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")


def _embedding(truth: reference.Reference, processor: object, image: Image.Image) -> list[float]:
    pixels = np.asarray(processor(images=image, return_tensors="np")["pixel_values"], dtype=np.float32)
    pooled = truth.pooled(pixels)
    return [round(float(value), 7) for value in pooled / np.linalg.norm(pooled)]


def _pixels(name: str, image: Image.Image) -> Image.Image:
    import transformers

    kind, settings = PIXELS[name]
    processor = getattr(transformers, f"{kind}Pil")(**settings, do_rescale=False, do_normalize=False)
    planes = np.asarray(processor(images=image, return_tensors="np")["pixel_values"])[0]
    return Image.fromarray(planes.astype(np.uint8).transpose(1, 2, 0))
