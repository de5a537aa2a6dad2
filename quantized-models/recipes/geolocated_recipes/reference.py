"""What transformers computes from the same folder: the reference that an export is held to.

Needs `requirements-reference.txt`; everything else in these recipes runs without it.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.errors import RecipeError

PACKAGES = ("torch", "transformers")


def is_installed() -> bool:
    """Whether the reference can run in this environment."""
    return all(find_spec(name) for name in PACKAGES)


def version() -> str:
    """The reference as reports name it."""
    import torch
    import transformers

    return f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}"


class Reference:
    """The vision tower as transformers runs it, fp32."""

    def __init__(self, checkpoint: Checkpoint):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        self._torch, self._is_clip = torch, checkpoint.tower.architecture == "clip"
        kind = transformers.CLIPVisionModelWithProjection if self._is_clip else transformers.SiglipVisionModel
        loaded = kind.from_pretrained(checkpoint.folder, dtype=torch.float32, output_loading_info=True)
        self._model, info = loaded
        if missing := sorted(info["missing_keys"]):
            raise RecipeError(f"{checkpoint.folder}: transformers expects {missing[0]}, found none")
        self._model.eval()

    def pooled(self, pixels: np.ndarray) -> np.ndarray:
        """The pooled vector of `pixels`, `[1, 3, height, width]`; not of unit length."""
        with self._torch.inference_mode():
            output = self._model(self._torch.from_numpy(pixels))
        return (output.image_embeds if self._is_clip else output.pooler_output)[0].numpy()


def processors(folder: Path) -> dict[str, object]:
    """Hugging Face's processors of a model folder by backend: `pil`, and `torchvision` where it is installed."""
    from transformers import AutoImageProcessor

    backends = ["pil"] + (["torchvision"] if find_spec("torchvision") else [])
    return {backend: AutoImageProcessor.from_pretrained(folder, backend=backend) for backend in backends}
