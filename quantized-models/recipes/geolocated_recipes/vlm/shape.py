"""The shape of a vision-language model, read from `config.json`.

Published files leave out what equals the defaults of the architecture's classes in transformers, so those stand here.
What these recipes do not build is refused by key.
"""

from dataclasses import dataclass

from geolocated_recipes import tower
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.tower import Tower

MODEL_TYPES = {
    "smolvlm": "smolvlm",
    "idefics3": "smolvlm",
    "llava_onevision": "llava_onevision",
    "qwen2_vl": "qwen2_vl",
    "gemma3": "gemma3",
}
LLAMA = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "hidden_act": "silu",
}
TEXT_DEFAULTS = {
    "smolvlm": {**LLAMA, "rms_norm_eps": 1e-5, "vocab_size": 128256},
    "llava_onevision": {
        **LLAMA,
        "intermediate_size": 22016,
        "vocab_size": 151936,
        "max_position_embeddings": 32768,
        "attention_bias": True,
    },
    "qwen2_vl": {
        **LLAMA,
        "vocab_size": 152064,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "max_position_embeddings": 32768,
        "attention_bias": True,
    },
    "gemma3": {
        **LLAMA,
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "sliding_window_pattern": 6,
        "max_position_embeddings": 131072,
        "hidden_act": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
    },
}
VISION_DEFAULTS = {
    "smolvlm": {"hidden_size": 1152, "num_attention_heads": 16, "patch_size": 32},
    "llava_onevision": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "patch_size": 14,
        "image_size": 384,
        "num_hidden_layers": 26,
        "num_attention_heads": 16,
    },
    "gemma3": {},
}
QWEN2_VISION = {
    "depth": 32,
    "embed_dim": 1280,
    "hidden_size": 3584,
    "hidden_act": "quick_gelu",
    "mlp_ratio": 4,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}


@dataclass(frozen=True)
class Rope:
    """How positions turn queries and keys."""

    theta: float
    factor: float = 1.0
    """Positions are divided by it."""
    sections: tuple[int, ...] = ()
    """Pairs of numbers that turn by time, row and column; empty: all turn by one position."""


@dataclass(frozen=True)
class Text:
    """Sizes of a decoder."""

    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    norm_eps: float
    rope: Rope
    positions: int
    """The longest prompt that the model was made for."""
    has_bias: bool
    """Whether queries, keys and values have a bias."""
    is_tied: bool
    """Whether the rows of the embedding table are those of the head, too."""
    activation: str
    score_scale: float
    is_gemma: bool = False
    """Gemma 3: norms around and inside attention, scaled embeddings, pictures seen as a whole."""
    hides_own_picture: bool = False
    """Tokens of a picture see what stands before it, not each other: what they have to say of each other the tower has
    said, and what they look for, their like in another picture, they find in themselves first."""
    local_rope: Rope | None = None
    """Of layers that see no farther than `window`."""
    window: int = 0
    period: int = 0
    """Every so manieth layer sees everything."""

    def is_local(self, layer: int) -> bool:
        """Whether a layer sees the last `window` tokens alone."""
        return bool(self.period) and (layer + 1) % self.period != 0


@dataclass(frozen=True)
class Shape:
    """A vision tower, a connector and a decoder."""

    architecture: str
    vision: Tower
    text: Text
    merge: int
    """Patches along each side that become one token."""
    has_newline: bool = False
    """A learned token ends each picture."""

    @property
    def side(self) -> int:
        """Tokens along each side of a picture."""
        return self.vision.image_size // self.vision.patch_size // self.merge

    @property
    def image_tokens(self) -> int:
        """Tokens of one picture."""
        return self.side**2 + self.has_newline

    @property
    def takes_any_side(self) -> bool:
        """Whether pictures of any size can be taken; one is chosen at export."""
        return self.architecture == "qwen2_vl"

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns, for decoders that are told positions in three numbers.

        Gemma 3 counts tokens one by one, and must know which belong to one picture: those that share their time. A
        picture of one column gives both. The built-in comparator counts pictures.
        """
        square = (self.side, self.side)
        grids = {"qwen2_vl": square, "mini": square, "gemma3": (self.image_tokens, 1)}
        return grids.get(self.architecture)


def from_config(config: dict, side: int | None = None) -> Shape:
    """The model that `config.json` describes. `side`: of pictures in pixels, where the architecture leaves it open."""
    model_type = config.get("model_type")
    if model_type not in MODEL_TYPES:
        expected = ", ".join(sorted(MODEL_TYPES))
        raise RecipeError(f"config.json: model_type: expected one of {expected}, found {model_type!r}")
    architecture = MODEL_TYPES[model_type]
    if side is not None and architecture != "qwen2_vl":
        raise RecipeError(f"--side: expected none for {architecture}, whose config.json says it, found {side}")
    text, stated = text_from(config, architecture), config.get("vision_config", {})
    if architecture == "qwen2_vl":
        vision, merge = _qwen2_vision(stated, side or 448)
    else:
        vision = tower.from_config(
            {
                **VISION_DEFAULTS[architecture],
                **stated,
                "model_type": "siglip_vision_model",
                # The head that pools is not used, whether it is there or not.
                "vision_use_head": True,
            }
        )
        patches = vision.image_size // vision.patch_size
        merge = {
            "smolvlm": config.get("scale_factor", 2),
            "gemma3": patches // int(config.get("mm_tokens_per_image", 256) ** 0.5),
            "llava_onevision": 1,
        }[architecture]
    _check(config, architecture)
    patches = vision.image_size // vision.patch_size
    if not merge or patches % merge:
        raise RecipeError(f"config.json: patches of a side that become a token: expected a divisor of {patches}")
    return Shape(architecture, vision, text, merge, architecture == "llava_onevision")


def text_from(config: dict, architecture: str) -> Text:
    """The decoder of `text_config`, which Qwen2-VL's first files have at the top."""
    stated = config.get("text_config", config)
    values = {**TEXT_DEFAULTS[architecture], **stated}
    is_gemma = architecture == "gemma3"
    activation = values.get("hidden_activation", values["hidden_act"])
    expected = "gelu_pytorch_tanh" if is_gemma else "silu"
    if activation != expected:
        raise RecipeError(f"config.json: text_config.hidden_act: expected {expected}, found {activation!r}")
    if values.get("use_sliding_window", False):
        raise RecipeError("config.json: text_config.use_sliding_window: expected false, found true")
    heads, hidden = values["num_attention_heads"], values["hidden_size"]
    head_size = values.get("head_dim") or hidden // heads
    rope, local = _ropes(values, is_gemma)
    text = Text(
        hidden_size=hidden,
        intermediate_size=values["intermediate_size"],
        layers=values["num_hidden_layers"],
        heads=heads,
        kv_heads=values.get("num_key_value_heads") or heads,
        head_size=head_size,
        vocabulary=values["vocab_size"],
        norm_eps=float(values["rms_norm_eps"]),
        rope=rope,
        positions=values["max_position_embeddings"],
        has_bias=bool(values.get("attention_bias", False)),
        is_tied=bool(stated.get("tie_word_embeddings", config.get("tie_word_embeddings", is_gemma))),
        activation=activation,
        score_scale=float(values["query_pre_attn_scalar"] if is_gemma else head_size) ** -0.5,
        is_gemma=is_gemma,
        local_rope=local,
        window=values["sliding_window"] if is_gemma else 0,
        period=values["sliding_window_pattern"] if is_gemma else 0,
    )
    if text.heads % text.kv_heads:
        raise RecipeError(
            f"config.json: text_config.num_key_value_heads: expected a divisor of {text.heads}, found {text.kv_heads}"
        )
    if rope.sections and sum(rope.sections) * 2 != head_size:
        raise RecipeError(f"config.json: mrope_section: expected a sum of {head_size // 2}, found {rope.sections}")
    return text


def _ropes(values: dict, is_gemma: bool) -> tuple[Rope, Rope | None]:
    """Of all layers, or of those that see everything and of the others."""
    found = values.get("rope_parameters") or {}
    local = None
    if is_gemma:
        near = found.get("sliding_attention", {})
        local = Rope(float(near.get("rope_theta", values["rope_local_base_freq"])))
        found = found.get("full_attention", {})
    found = {**(values.get("rope_scaling") or {}), **found}
    kind = found.get("rope_type", found.get("type", "default"))
    if kind not in ("default", "mrope", "linear"):
        raise RecipeError(f"config.json: rope_scaling: expected default, mrope or linear, found {kind!r}")
    factor = float(found.get("factor", 1.0)) if kind == "linear" else 1.0
    sections = tuple(found.get("mrope_section", ()))
    return Rope(float(found.get("rope_theta", values["rope_theta"])), factor, sections), local


def _qwen2_vision(stated: dict, side: int) -> tuple[Tower, int]:
    values = {**QWEN2_VISION, **stated}
    merge, patch = values["spatial_merge_size"], values["patch_size"]
    if side % (patch * merge):
        raise RecipeError(f"--side: expected a multiple of {patch * merge} pixels, found {side}")
    vision = Tower(
        architecture="qwen2_vl",
        image_size=side,
        patch_size=patch,
        hidden_size=values["embed_dim"],
        intermediate_size=int(values["embed_dim"] * values["mlp_ratio"]),
        layers=values["depth"],
        heads=values["num_heads"],
        activation=values["hidden_act"],
        layer_norm_eps=1e-6,
    )
    return vision, merge


def _check(config: dict, architecture: str) -> None:
    """What only one architecture can say."""
    if architecture == "llava_onevision":
        for key, expected in (
            ("vision_feature_layer", -1),
            ("vision_feature_select_strategy", "full"),
            ("projector_hidden_act", "gelu"),
            ("multimodal_projector_bias", True),
        ):
            if (found := config.get(key, expected)) != expected:
                raise RecipeError(f"config.json: {key}: expected {expected!r}, found {found!r}")
    if architecture == "gemma3":
        text = config.get("text_config", {})
        for key in ("final_logit_softcapping", "attn_logit_softcapping"):
            if text.get(key) is not None:
                raise RecipeError(f"config.json: text_config.{key}: expected none, found {text[key]!r}")
        pattern = text.get("layer_types")
        period = text.get("sliding_window_pattern", 6)
        kinds = ["sliding_attention" if (at + 1) % period else "full_attention" for at in range(len(pattern or ()))]
        if pattern is not None and pattern != kinds:
            raise RecipeError(f"config.json: text_config.layer_types: expected every {period}th to see everything")
