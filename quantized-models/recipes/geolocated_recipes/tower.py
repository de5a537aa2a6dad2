"""The shape of a vision tower, read from `config.json`: SigLIP, SigLIP 2 with a fixed size, CLIP.

Published files leave out what equals the defaults of the architecture's class in transformers, so those stand here.
What this exporter does not build is refused by name rather than passed over.
"""

from dataclasses import dataclass

from geolocated_recipes.errors import RecipeError

# Defaults of SiglipVisionConfig and CLIPVisionConfig.
DEFAULTS = {
    "siglip": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_channels": 3,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
        "vision_use_head": True,
    },
    "clip": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_channels": 3,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    },
}
MODEL_TYPES = {
    "siglip": "siglip",
    "siglip_vision_model": "siglip",
    "clip": "clip",
    "clip_vision_model": "clip",
}
ACTIVATIONS = ("gelu_pytorch_tanh", "gelu", "quick_gelu")
REFUSED = {
    "siglip2": "SigLIP 2 NaFlex takes pictures of any aspect; export a fixed-size SigLIP 2 (its model_type is siglip)",
}


@dataclass(frozen=True)
class Tower:
    """Sizes of a vision transformer; lengths in pixels or numbers."""

    architecture: str
    """`siglip` (pooling head) or `clip` (class token and projection)."""
    image_size: int
    patch_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    activation: str
    layer_norm_eps: float

    @property
    def patches(self) -> int:
        """Patches of one picture."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def tokens(self) -> int:
        """Positions of one picture: its patches, and CLIP's class token before them."""
        return self.patches + (self.architecture == "clip")

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads


def from_config(config: dict) -> Tower:
    """The vision tower that `config.json` describes, alone or beside a text tower."""
    model_type = config.get("model_type")
    if model_type in REFUSED:
        raise RecipeError(f"config.json: model_type {model_type!r}: {REFUSED[model_type]}")
    if model_type not in MODEL_TYPES:
        expected = ", ".join(sorted(MODEL_TYPES))
        raise RecipeError(f"config.json: model_type: expected one of {expected}, found {model_type!r}")
    architecture = MODEL_TYPES[model_type]
    stated = config.get("vision_config", {}) if model_type == architecture else config
    values = {key: stated.get(key, default) for key, default in DEFAULTS[architecture].items()}
    tower = Tower(
        architecture=architecture,
        image_size=_count(values, "image_size"),
        patch_size=_count(values, "patch_size"),
        hidden_size=_count(values, "hidden_size"),
        intermediate_size=_count(values, "intermediate_size"),
        layers=_count(values, "num_hidden_layers"),
        heads=_count(values, "num_attention_heads"),
        activation=values["hidden_act"],
        layer_norm_eps=float(values["layer_norm_eps"]),
    )
    _check(tower, values)
    return tower


def _count(values: dict, key: str) -> int:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RecipeError(f"config.json: {key}: expected a whole number above zero, found {value!r}")
    return value


def _check(tower: Tower, values: dict) -> None:
    expectations = [
        ("hidden_act", tower.activation in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}", tower.activation),
        ("num_channels", values["num_channels"] == 3, 3, values["num_channels"]),
        ("vision_use_head", values.get("vision_use_head", True) is True, True, values.get("vision_use_head")),
        (
            "num_attention_heads",
            tower.hidden_size % tower.heads == 0,
            f"a divisor of hidden_size {tower.hidden_size}",
            tower.heads,
        ),
        (
            "patch_size",
            tower.patch_size <= tower.image_size,
            f"at most image_size {tower.image_size}",
            tower.patch_size,
        ),
    ]
    for key, holds, expected, found in expectations:
        if not holds:
            raise RecipeError(f"config.json: {key}: expected {expected}, found {found!r}")
