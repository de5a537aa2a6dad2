"""Vision-language models of a true architecture with random weights, in Hugging Face's layout, and narrow ones."""

import json
import struct
from pathlib import Path

import numpy as np

from geolocated_recipes.checkpoint import RANDOM_MARK, tensor_shapes
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.vlm import configs, prompts, vocabulary
from geolocated_recipes.vlm.checkpoint import PREFIXES
from geolocated_recipes.vlm.configs import SHAPES
from geolocated_recipes.vlm.shape import Shape, from_config


def write(name: str, folder: Path, seed: int) -> None:
    """A folder with configurations, vocabulary and weights in bfloat16; the same seed gives the same bytes."""
    if name not in SHAPES:
        raise RecipeError(f"--shape: expected one of {', '.join(SHAPES)}, found {name}")
    config = {**SHAPES[name], RANDOM_MARK: seed}
    shape = from_config(config)
    turns = prompts.TURNS[shape.architecture]
    texts = prompts.texts(prompts.table(turns))
    tokenizer = vocabulary.tokenizer(texts, turns.specials)
    if (size := len(tokenizer["model"]["vocab"])) > shape.text.vocabulary:
        raise RecipeError(f"{name}: vocab_size: expected at least {size}, found {shape.text.vocabulary}")
    config |= configs.special_tokens(shape, tokenizer["model"]["vocab"])
    folder.mkdir(parents=True)
    for file, content in (
        ("config.json", config),
        ("preprocessor_config.json", configs.processor(shape)),
        ("tokenizer.json", tokenizer),
    ):
        (folder / file).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _save(
        published_shapes(shape),
        folder / "model.safetensors",
        np.random.Generator(np.random.PCG64(seed)),
        shape.text.is_gemma,
    )


def published_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The tensors of a model by their published names."""
    names: dict[str, tuple[int, ...]] = {}
    for name, size in {**_vision(shape), **_text(shape)}.items():
        for part, prefixes in PREFIXES[shape.architecture].items():
            if name.startswith(part):
                names[prefixes[0] + name.removeprefix(part)] = size
    return names


def _vision(shape: Shape) -> dict[str, tuple[int, ...]]:
    vision, width, wide = shape.vision, shape.vision.hidden_size, shape.text.hidden_size
    if shape.architecture == "qwen2_vl":
        return _qwen2_vision(shape)
    found = {name: size for name, size in tensor_shapes(vision).items() if ".head." not in name}
    if shape.architecture == "smolvlm":
        found["connector.proj.weight"] = (wide, width * shape.merge**2)
    elif shape.architecture == "gemma3":
        found["connector.mm_soft_emb_norm.weight"] = (width,)
        found["connector.mm_input_projection_weight"] = (width, wide)
    else:
        found["newline"] = (wide,)
        for name, size in (("linear_1", width), ("linear_2", wide)):
            found[f"connector.{name}.weight"], found[f"connector.{name}.bias"] = (wide, size), (wide,)
    return found


def _qwen2_vision(shape: Shape) -> dict[str, tuple[int, ...]]:
    vision, width = shape.vision, shape.vision.hidden_size
    side, long = vision.patch_size, width * shape.merge**2
    found = {"vision_model.patch_embed.proj.weight": (width, 3, 2, side, side)}
    pairs = {
        "connector.ln_q": (width,),
        "connector.mlp.0": (long, long),
        "connector.mlp.2": (shape.text.hidden_size, long),
    }
    for layer in range(vision.layers):
        base = f"vision_model.blocks.{layer}"
        pairs |= {
            f"{base}.norm1": (width,),
            f"{base}.norm2": (width,),
            f"{base}.attn.qkv": (3 * width, width),
            f"{base}.attn.proj": (width, width),
            f"{base}.mlp.fc1": (vision.intermediate_size, width),
            f"{base}.mlp.fc2": (width, vision.intermediate_size),
        }
    for name, size in pairs.items():
        found[f"{name}.weight"], found[f"{name}.bias"] = size, size[:1]
    return found


def _text(shape: Shape) -> dict[str, tuple[int, ...]]:
    text = shape.text
    width, inner = text.hidden_size, text.intermediate_size
    found: dict[str, tuple[int, ...]] = {
        "text.embed_tokens.weight": (text.vocabulary, width),
        "text.norm.weight": (width,),
    }
    if not text.is_tied:
        found["head.weight"] = (text.vocabulary, width)
    for layer in range(text.layers):
        base = f"text.layers.{layer}"
        for part, heads in (("q", text.heads), ("k", text.kv_heads), ("v", text.kv_heads)):
            found[f"{base}.self_attn.{part}_proj.weight"] = (heads * text.head_size, width)
            if text.has_bias:
                found[f"{base}.self_attn.{part}_proj.bias"] = (heads * text.head_size,)
        found[f"{base}.self_attn.o_proj.weight"] = (width, text.heads * text.head_size)
        norms = ["input_layernorm", "post_attention_layernorm"]
        if text.is_gemma:
            norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
            for part in "qk":
                found[f"{base}.self_attn.{part}_norm.weight"] = (text.head_size,)
        found |= {f"{base}.{norm}.weight": (width,) for norm in norms}
        found[f"{base}.mlp.gate_proj.weight"] = found[f"{base}.mlp.up_proj.weight"] = (inner, width)
        found[f"{base}.mlp.down_proj.weight"] = (width, inner)
    return found


def _save(shapes: dict[str, tuple[int, ...]], path: Path, generator: np.random.Generator, is_gemma: bool) -> None:
    """Tensors one after the other, so that no more than one is in memory."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(shapes):
        length = 2 * int(np.prod(shapes[name]))
        header[name] = {"dtype": "BF16", "shape": list(shapes[name]), "data_offsets": [at, at + length]}
        at += length
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for name in sorted(shapes):
            file.write(_bfloat16(_values(name, shapes[name], generator, is_gemma)).tobytes())


def _bfloat16(array: np.ndarray) -> np.ndarray:
    """The upper halves of float32 numbers, rounded to even."""
    bits = array.astype("<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def _values(name: str, shape: tuple[int, ...], generator: np.random.Generator, is_gemma: bool) -> np.ndarray:
    """Weights whose activations keep their size from layer to layer, so that unlike pictures get unlike answers."""
    drawn = generator.standard_normal(shape, dtype=np.float32)
    if len(shape) == 1:
        is_norm = name.endswith("weight")
        # Gemma's root mean square norms add one themselves.
        adds_one = is_norm and not (is_gemma and "vision" not in name)
        return drawn * np.float32(0.1 if is_norm else 0.02) + np.float32(adds_one)
    if "position_embedding" in name:
        return drawn * np.float32(0.1)
    if "embed_tokens" in name:
        return drawn
    if "text" in name and ("q_proj" in name or "k_proj" in name):
        # Attention that is sharp enough to look at pictures rather than at the mean of all tokens.
        drawn = drawn * np.float32(2)
    return drawn * np.float32(np.prod(shape[1:]) ** -0.5)
