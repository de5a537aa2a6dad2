"""What transformers makes of a prompt: the reference that exports are checked against."""

import numpy as np

from geolocated_recipes import reference
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.shape import Shape


class Reference:
    """The whole model in float32. Needs torch and transformers."""

    def __init__(self, checkpoint: VlmCheckpoint):
        import torch
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.shape = checkpoint.shape
        self.model, info = transformers.AutoModelForImageTextToText.from_pretrained(
            checkpoint.folder,
            dtype=torch.float32,
            attn_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
        )
        self.model.eval()
        # Tied rows, and heads of towers that nobody asks, may be missing.
        self.missing: list[str] = sorted(name for name in info["missing_keys"] if "lm_head" not in name)

    def version(self) -> str:
        """For reports."""
        return reference.version()

    def logits(self, tokens: np.ndarray, is_picture: np.ndarray, pixels: list[np.ndarray]) -> np.ndarray:
        """Logits of the last of `tokens`, `[vocabulary]`; `pixels` are `[1, 3, side, side]` each."""
        import torch

        ids = torch.from_numpy(tokens)[None]
        seen = pictures(self.shape, np.concatenate(pixels), torch.from_numpy(is_picture)[None].long())
        with torch.no_grad():
            found = self.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **seen)
        return found.logits[0, -1].numpy()


def pictures(shape: Shape, pixels: np.ndarray, kinds) -> dict:
    """Pictures as each architecture's processor gives them. `pixels`: `[pictures, 3, side, side]`; `kinds`: a tensor
    `[prompts, tokens]`, 1 where a token is of a picture."""
    import torch

    whole = torch.from_numpy(pixels)
    if shape.architecture == "smolvlm":
        return {"pixel_values": whole[None]}
    if shape.architecture == "gemma3":
        return {"pixel_values": whole, "token_type_ids": kinds}
    count, side = len(pixels), shape.vision.image_size
    if shape.architecture == "llava_onevision":
        sizes = torch.tensor([[side, side]] * count)
        # Several pictures in one prompt: none of them is cut into tiles.
        return {"pixel_values": whole[:, None], "image_sizes": sizes, "batch_num_images": torch.tensor([count])}
    grid = side // shape.vision.patch_size
    return {
        "pixel_values": torch.from_numpy(np.concatenate([patches(shape, picture) for picture in pixels])),
        "image_grid_thw": torch.tensor([[1, grid, grid]] * count),
        "mm_token_type_ids": kinds,
    }


def patches(shape: Shape, picture: np.ndarray) -> np.ndarray:
    """A picture `[3, side, side]` as Qwen2-VL's processor cuts it: squares of patches, two equal frames."""
    size, merge, wide = shape.vision.patch_size, shape.merge, shape.side
    cut = np.stack([picture, picture]).reshape(2, 3, wide, merge, size, wide, merge, size)
    order = cut.transpose(2, 5, 3, 6, 1, 0, 4, 7)
    return np.ascontiguousarray(order.reshape(shape.vision.patches, 3 * 2 * size * size))
