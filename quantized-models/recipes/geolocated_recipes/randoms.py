"""Models of a true architecture with random weights, in Hugging Face's layout: for speed, memory and tests only."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from geolocated_recipes.checkpoint import RANDOM_MARK, tensor_shapes
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.tower import from_config

SIGLIP_MEAN = SIGLIP_STD = [0.5, 0.5, 0.5]
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
LARGE_SIGLIP = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16}
LARGE_CLIP = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
NARROW = {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}

# Name: architecture, filter, projection, vision_config beside the defaults of transformers.
SHAPES = {
    "siglip-b16-224": ("siglip", 3, 0, {}),
    "siglip-b16-256": ("siglip", 3, 0, {"image_size": 256}),
    "siglip-b16-384": ("siglip", 3, 0, {"image_size": 384}),
    "siglip-so400m14-384": ("siglip", 3, 0, {**LARGE_SIGLIP, "image_size": 384, "patch_size": 14}),
    "siglip2-b16-224": ("siglip", 2, 0, {}),
    "clip-l14-224": ("clip", 3, 768, {**LARGE_CLIP, "patch_size": 14}),
    "streetclip-l14-336": ("clip", 3, 768, {**LARGE_CLIP, "patch_size": 14, "image_size": 336}),
    "narrow-siglip": ("siglip", 3, 0, {**NARROW, "patch_size": 16}),
    "narrow-clip": ("clip", 3, 24, {**NARROW, "patch_size": 16}),
}


def write(shape: str, folder: Path, seed: int) -> None:
    """A folder with both configurations and `model.safetensors`; the same seed gives the same bytes."""
    if shape not in SHAPES:
        raise RecipeError(f"--shape: expected one of {', '.join(SHAPES)}, found {shape}")
    architecture, resample, projection, vision = SHAPES[shape]
    config = {
        "model_type": architecture,
        RANDOM_MARK: seed,
        "vision_config": {"model_type": f"{architecture}_vision_model", **vision},
    }
    if projection:
        config["projection_dim"] = config["vision_config"]["projection_dim"] = projection
    tower = from_config(config)
    shapes = tensor_shapes(tower, projection)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    processor = _processor(architecture, resample, tower.image_size)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")
    generator = np.random.Generator(np.random.PCG64(seed))
    tensors = {name: _values(name, shapes[name], generator) for name in sorted(shapes)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _processor(architecture: str, resample: int, side: int) -> dict:
    square = {"height": side, "width": side}
    if architecture == "siglip":
        return {
            "image_processor_type": "SiglipImageProcessor",
            "resample": resample,
            "size": square,
            "do_resize": True,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": SIGLIP_MEAN,
            "image_std": SIGLIP_STD,
        }
    return {
        "image_processor_type": "CLIPImageProcessor",
        "resample": resample,
        "size": {"shortest_edge": side},
        "do_resize": True,
        "do_center_crop": True,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }


def _values(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Weights whose activations keep their size from layer to layer, so that unlike pictures get unlike vectors."""
    drawn = generator.standard_normal(shape, dtype=np.float32)
    is_norm = "layer_norm" in name or "layernorm" in name or "layrnorm" in name
    if name.endswith(".weight") and is_norm:
        return 1 + drawn * np.float32(0.1)
    if name.endswith("bias"):
        return drawn * np.float32(0.02)
    if "position_embedding" in name or "class_embedding" in name:
        return drawn * np.float32(0.1)
    if name.endswith("probe"):
        return drawn
    return drawn * np.float32(np.prod(shape[1:]) ** -0.5)
