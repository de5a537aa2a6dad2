"""A comparator's folder: three graphs, tokenizer, golden pictures, `model.toml` as `docs/models.md` lists it."""

from dataclasses import dataclass
from pathlib import Path

from geolocated_recipes import onnx_file
from geolocated_recipes.checkpoint import sha256
from geolocated_recipes.folder import Identity
from geolocated_recipes.graph import INPUT as PIXELS
from geolocated_recipes.measure import measured_on
from geolocated_recipes.preprocess import Preprocess
from geolocated_recipes.vlm import decoder, prompts, toml, vision
from geolocated_recipes.vlm.prompts import Turns
from geolocated_recipes.vlm.shape import Shape
from geolocated_recipes.vlm.variants import DECODER, EMBEDDING, FILES, VISION, Variant

MANIFEST, TOKENIZER = "model.toml", "tokenizer.json"


@dataclass(frozen=True)
class Layout:
    """What a manifest says beside files and goldens."""

    identity: Identity
    shape: Shape
    preprocess: Preprocess
    turns: Turns
    form: str
    is_random: bool
    blocks_independent: bool
    rows: list[int] | None
    perception_noise_nats: float = 0.0


def manifest(folder: Path, layout: Layout, variant: Variant, figures: dict, goldens: list[dict]) -> dict:
    """The manifest of the files that lie in `folder`."""
    shape = layout.shape
    text = {
        "format": 1,
        "kind": "comparator",
        "name": layout.identity.name,
        "licence": layout.identity.licence,
        "source": layout.identity.source,
    }
    if layout.is_random:
        text["trained"] = False
    if layout.blocks_independent:
        text["blocks_independent"] = True
    if layout.perception_noise_nats:
        text["perception_noise_nats"] = layout.perception_noise_nats
    text["graphs"] = _graphs(folder, layout)
    text["image"] = {
        "tokens": shape.image_tokens,
        "width": shape.text.hidden_size,
        "placeholder": layout.turns.placeholder,
        **{key: value for key in ("before", "after") if (value := getattr(layout.turns, key))},
        **({"grid": list(shape.grid)} if shape.grid else {}),
    }
    text["preprocess"] = _preprocess(layout.preprocess)
    text["tokenizer"] = {"file": TOKENIZER, "sha256": sha256(folder / TOKENIZER)}
    text["prompt"] = prompts.table(layout.turns)
    if layout.rows is None and layout.turns.stop:
        text["generate"] = prompts.generate(layout.turns, shape.text.positions)
    text["quantization"] = {
        "weights": variant.weights,
        "vision_weights": variant.vision_weights,
        "activations": variant.activations,
        **({"reduce_range": True} if variant.reduce_range else {}),
        "measured_on": measured_on(),
        **figures,
    }
    text["runtime"] = {"order": ["onnxruntime"] if layout.form == "grouped" else ["onnxruntime", "tract"]}
    return {**text, **({"golden": goldens} if goldens else {})}


def write(folder: Path, content: dict) -> None:
    """`model.toml`."""
    head = "# The manifest of one model. Paths are relative to this file.\n"
    (folder / MANIFEST).write_text(head + toml.text(content), encoding="utf-8")


def _graphs(folder: Path, layout: Layout) -> dict:
    shape, side = layout.shape, layout.shape.vision.image_size
    text = shape.text
    details = {
        VISION: {
            "output": vision.FEATURES,
            "inputs": [{"name": PIXELS, "holds": "pixels", "shape": [1, 3, side, side]}],
        },
        EMBEDDING: {"input": vision.IDS, "output": vision.EMBEDDINGS},
        DECODER: {
            "embeddings": decoder.INPUT,
            **({"position_ids": decoder.POSITIONS} if layout.blocks_independent or shape.grid else {}),
            **({"positions": "3d"} if shape.grid else {}),
            "past_key": decoder.past("{layer}", "key"),
            "past_value": decoder.past("{layer}", "value"),
            "present_key": decoder.present("{layer}", "key"),
            "present_value": decoder.present("{layer}", "value"),
            "layers": text.layers,
            "heads": text.kv_heads,
            "head_size": text.head_size,
            "logits": decoder.LOGITS,
            **({"logits_rows": layout.rows} if layout.rows is not None else {}),
        },
    }
    return {name: {**_file(folder, FILES[name]), **detail, **_data(folder, name)} for name, detail in details.items()}


def _file(folder: Path, name: str) -> dict:
    return {"file": name, "sha256": sha256(folder / name)}


def _data(folder: Path, name: str) -> dict:
    files = sorted(onnx_file.external_files(folder / FILES[name]))
    return {"data": [_file(folder, file) for file in files]} if files else {}


def _preprocess(pre: Preprocess) -> dict:
    return {
        "width": pre.width,
        "height": pre.height,
        "resize": pre.resize,
        **({"shortest_side": pre.shortest_side} if pre.shortest_side else {}),
        **({"margin": "floor"} if pre.resize == "crop" else {}),
        "filter": pre.filter,
        "channels": "rgb",
        "mean": list(pre.mean),
        "std": list(pre.std),
    }
