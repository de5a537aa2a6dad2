"""Configurations for random weights: true shapes of published models, and narrow ones of the same structure."""

from geolocated_recipes.vlm.shape import Shape

OPENAI_MEAN = [0.48145466, 0.4578275, 0.40821073]
OPENAI_STD = [0.26862954, 0.26130258, 0.27577711]
SMOLVLM = {
    "model_type": "smolvlm",
    "architectures": ["SmolVLMForConditionalGeneration"],
    "scale_factor": 4,
    "tie_word_embeddings": False,
    "vision_config": {
        "model_type": "smolvlm_vision",
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 512,
        "patch_size": 16,
    },
    "text_config": {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49280,
        "rms_norm_eps": 1e-5,
        "rope_theta": 100000,
        "max_position_embeddings": 8192,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    },
}
LLAVA_ONEVISION = {
    "model_type": "llava_onevision",
    "architectures": ["LlavaOnevisionForConditionalGeneration"],
    "projector_hidden_act": "gelu",
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
    "vision_aspect_ratio": "anyres_max_9",
    "tie_word_embeddings": True,
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "image_size": 384,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_hidden_layers": 26,
        "patch_size": 14,
        "vision_use_head": False,
    },
    "text_config": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 152000,
        "max_position_embeddings": 32768,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
    },
}
QWEN2_VL = {
    "model_type": "qwen2_vl",
    "architectures": ["Qwen2VLForConditionalGeneration"],
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vision_config": {
        "model_type": "qwen2_vl",
        "depth": 32,
        "embed_dim": 1280,
        "hidden_size": 1536,
        "mlp_ratio": 4,
        "num_heads": 16,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}
GEMMA3 = {
    "model_type": "gemma3",
    "architectures": ["Gemma3ForConditionalGeneration"],
    "mm_tokens_per_image": 256,
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "image_size": 896,
        "intermediate_size": 4304,
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
        "vision_use_head": False,
    },
    "text_config": {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
}


def _changed(config: dict, vision: dict, text: dict, **top: object) -> dict:
    """`config` with other sizes; `text` goes to the top where the architecture has it there."""
    found = {**config, **top, "vision_config": {**config["vision_config"], **vision}}
    if "text_config" in config:
        return {**found, "text_config": {**config["text_config"], **text}}
    return {**found, **text}


def _narrow(layers: int = 2, vocabulary: int = 448) -> dict:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": vocabulary,
        "max_position_embeddings": 192,
    }


NARROW_SIGLIP = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 4,
}
SHAPES = {
    "smolvlm-256m": SMOLVLM,
    "smolvlm-500m": _changed(
        SMOLVLM,
        {},
        {
            "hidden_size": 960,
            "intermediate_size": 2560,
            "num_hidden_layers": 32,
            "num_attention_heads": 15,
            "num_key_value_heads": 5,
        },
    ),
    "llava-onevision-0.5b": LLAVA_ONEVISION,
    "qwen2-vl-2b": QWEN2_VL,
    "gemma-3-4b": GEMMA3,
    "narrow-smolvlm": _changed(
        SMOLVLM,
        NARROW_SIGLIP,
        {**_narrow(), "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
    ),
    # For questions of many words.
    "narrow-smolvlm-long": _changed(
        SMOLVLM,
        NARROW_SIGLIP,
        {
            **_narrow(),
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "max_position_embeddings": 2048,
        },
    ),
    "narrow-idefics3": _changed(
        SMOLVLM,
        {**NARROW_SIGLIP, "model_type": "idefics3_vision"},
        _narrow(),
        model_type="idefics3",
        architectures=["Idefics3ForConditionalGeneration"],
    ),
    "narrow-llava-onevision": _changed(
        LLAVA_ONEVISION, {**NARROW_SIGLIP, "patch_size": 8, "image_size": 24}, _narrow()
    ),
    "narrow-qwen2-vl": _changed(
        QWEN2_VL,
        {"depth": 2, "embed_dim": 16, "hidden_size": 32, "num_heads": 2},
        {**_narrow(vocabulary=480), "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
    ),
    "narrow-gemma-3": _changed(
        GEMMA3,
        NARROW_SIGLIP,
        {
            **_narrow(layers=4, vocabulary=480),
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "query_pre_attn_scalar": 8,
            "sliding_window": 20,
            "sliding_window_pattern": 2,
        },
        mm_tokens_per_image=4,
    ),
}


def special_tokens(shape: Shape, vocabulary: dict[str, int]) -> dict:
    """The keys of `config.json` that say which tokens stand for pictures."""
    if shape.architecture == "smolvlm":
        return {"image_token_id": vocabulary["<image>"]}
    if shape.architecture == "llava_onevision":
        return {"image_token_index": vocabulary["<image>"], "video_token_index": shape.text.vocabulary - 1}
    if shape.architecture == "qwen2_vl":
        return {
            "image_token_id": vocabulary["<|image_pad|>"],
            "video_token_id": shape.text.vocabulary - 1,
            "vision_start_token_id": vocabulary["<|vision_start|>"],
            "vision_end_token_id": vocabulary["<|vision_end|>"],
        }
    return {
        "image_token_index": vocabulary["<image_soft_token>"],
        "boi_token_index": vocabulary["<start_of_image>"],
        "eoi_token_index": vocabulary["<end_of_image>"],
    }


def processor(shape: Shape) -> dict:
    """`preprocessor_config.json` as the architecture's models are published with."""
    side = shape.vision.image_size
    common = {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "rescale_factor": 1 / 255,
    }
    square = {"height": side, "width": side}
    if shape.architecture == "smolvlm":
        return {
            **common,
            "image_processor_type": "Idefics3ImageProcessor",
            "do_image_splitting": True,
            "do_pad": True,
            "max_image_size": {"longest_edge": side},
            "resample": 1,
            "size": {"longest_edge": 4 * side},
        }
    if shape.architecture == "llava_onevision":
        return {**common, "image_processor_type": "LlavaOnevisionImageProcessor", "resample": 3, "size": square}
    if shape.architecture == "qwen2_vl":
        return {
            **common,
            "image_processor_type": "Qwen2VLImageProcessor",
            "image_mean": OPENAI_MEAN,
            "image_std": OPENAI_STD,
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "patch_size": shape.vision.patch_size,
            "temporal_patch_size": 2,
            "merge_size": shape.merge,
            "resample": 3,
        }
    return {**common, "image_processor_type": "Gemma3ImageProcessor", "resample": 2, "size": square}
