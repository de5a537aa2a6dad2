"""Low-rank adapters, by peft: put on a model, written, read."""

import json
import tempfile
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from geolocated_recipes import folder as folders
from geolocated_recipes.checkpoint import read_json
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.sft.plan import Plan
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint

ARCHITECTURES = ("gemma3", "qwen2_vl")
ADAPTER, CONFIG, WEIGHTS, ORIGIN = "adapter", "adapter_config.json", "adapter_model.safetensors", "training.json"
# Attention and MLP of the decoder. The vision tower has layers of the same names and stays as it is.
MODULES = r".*\blanguage_model\.layers\.\d+\.(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj"


def base(checkpoint: VlmCheckpoint, dtype: str) -> transformers.PreTrainedModel:
    """The model of a folder, without a look at the network."""
    if checkpoint.shape.architecture not in ARCHITECTURES:
        found = checkpoint.shape.architecture
        raise RecipeError(f"{checkpoint.folder}: expected one of {', '.join(ARCHITECTURES)}, found {found}")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # peft asks transformers by a name that is going out of use.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
    model, info = transformers.AutoModelForImageTextToText.from_pretrained(
        checkpoint.folder,
        dtype=getattr(torch, dtype),
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    # Tied rows may be missing.
    if missing := sorted(name for name in info["missing_keys"] if "lm_head" not in name):
        raise RecipeError(f"{checkpoint.folder}: transformers expects {missing[0]}, found none")
    return model


def adapt(model: transformers.PreTrainedModel, plan: Plan) -> peft.PeftModel:
    """Fresh adapters, which change nothing yet; everything else is frozen."""
    torch.manual_seed(plan.seed)
    config = peft.LoraConfig(r=plan.rank, lora_alpha=plan.alpha, target_modules=MODULES, task_type="CAUSAL_LM")
    return peft.get_peft_model(model, config)


def write(model: peft.PeftModel, origin: dict, path: Path) -> None:
    """A folder in peft's form, which servers take, too; `origin` says how it was made. Whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".adapter.", dir=path.parent) as work:
        made = Path(work) / ADAPTER
        made.mkdir()
        model.peft_config["default"].save_pretrained(made)
        weights = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
        save_file({name: value.cpu().contiguous() for name, value in weights.items()}, made / WEIGHTS)
        (made / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
        folders.publish(made, path)


def read(model: transformers.PreTrainedModel, path: Path) -> peft.PeftModel:
    """The adapter of a folder on its base; every weight must find its layer, and every layer its weights."""
    kind = read_json(path / CONFIG).get("peft_type")
    if kind != "LORA":
        raise RecipeError(f"{path / CONFIG}: peft_type: expected 'LORA', found {kind!r}")
    try:
        adapted = peft.get_peft_model(model, peft.LoraConfig.from_pretrained(path))
        # peft calls all weights of the base missing, too.
        wanted = peft.get_peft_model_state_dict(adapted, save_embedding_layers=False).keys()
        weights = load_file(path / WEIGHTS)
        if missing := sorted(wanted - weights.keys()):
            raise RecipeError(f"{path / WEIGHTS}: expected a tensor {missing[0]}, found none")
        if other := sorted(weights.keys() - wanted):
            raise RecipeError(f"{path / WEIGHTS}: expected {len(wanted)} tensors for this base, found also {other[0]}")
        peft.set_peft_model_state_dict(adapted, weights)
    # peft, torch and safetensors have errors of many kinds for files that do not fit.
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise RecipeError(f"{path}: expected an adapter for this base, found {error}") from error
    return adapted
