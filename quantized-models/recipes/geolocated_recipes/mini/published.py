"""The weights of a published tower, back from its graph: what training begins with where no checkpoint is at hand.

A graph holds a convolution and the normalisation behind it as one, and weights in 8 bits. Kernels come back as they
are, brought to the size that training keeps matrices at; normalisations are measured again, so that the tower computes
what the graph computes.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.mini.network import Convolution, Encoder, distances

# Root mean square of a matrix at which weight decay and steps of Muon hold each other, about.
SIZE = 0.04


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Weights of a graph by name, widened, matrices `[outputs, inputs]` as in PyTorch."""
    if not path.is_file():
        raise RecipeError(f"{path}: expected the graph of a built-in model, found none")
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    wide = {}
    for name, array in found.items():
        if (scale := found.get(f"{name}.scale")) is not None:
            rows = scale if array.ndim == 2 else scale.reshape(-1, *[1] * (array.ndim - 1))
            array = array.astype(np.float32) * rows
        wide[name] = array.T if array.ndim == 2 and name.endswith(".weight") else array
    return wide


class Published:
    """One tower of a model folder, and what becomes of it in a tower that trains."""

    def __init__(self, path: Path):
        self.path, self.tensors = path, tensors(path)

    def give(self, tower: Encoder, pictures: torch.Tensor) -> None:
        """Puts the weights into `tower`; `pictures`, as its stem sees them, are what normalisations are measured on."""
        own = tower.state_dict()
        new = {name: torch.from_numpy(np.array(array)) for name, array in self._state(tower).items()}
        wrong = [f"{name} {tuple(own[name].shape)}" for name, value in new.items() if value.shape != own[name].shape]
        if wrong:
            raise RecipeError(f"{self.path}: expected weights of {', '.join(wrong)}, found other sizes")
        tower.load_state_dict(own | new)
        self._settle(tower, pictures)

    def _tensor(self, name: str) -> np.ndarray:
        if name not in self.tensors:
            raise RecipeError(f"{self.path}: expected the weight {name}, found none")
        return self.tensors[name]

    def _state(self, tower: Encoder) -> dict[str, np.ndarray]:
        """What is not normalised over the batch, under the names of the tower."""
        heads = tower.shape.heads
        scale = np.float32((tower.shape.width // heads) ** -0.5)
        which, squared = distances(tower.shape.grid)
        first = np.array([int((which == at).flatten().nonzero()[0]) for at in range(len(squared))])
        state = {}
        for part in ("weight", "bias"):
            for base in [f"blocks.{at}" for at in range(tower.shape.depth)]:
                name = f"{base}.attention"
                q, k, v = (self._tensor(f"{name}.{row}.{part}") for row in "qkv")
                state[f"{name}.qkv.{part}"] = np.concatenate([q / scale, k, v])
        for at in range(tower.shape.depth):
            reach = self._tensor(f"blocks.{at}.attention.reach").reshape(1, heads, -1)
            state[f"blocks.{at}.attention.reach"] = reach[:, :, first]
        # Behind the projection stands a normalisation that only shifts by now.
        state["project.weight"] = self._tensor("project.weight")
        normalised = {f"{name}." for name, part in tower.named_modules() if isinstance(part, Convolution)}
        for name in tower.state_dict():
            is_normalised = any(name.startswith(prefix) for prefix in normalised)
            if name in self.tensors and name not in state and not is_normalised:
                state[name] = self._tensor(name)
        return state

    @torch.no_grad()
    def _settle(self, tower: Encoder, pictures: torch.Tensor) -> None:
        """Kernels, and normalisations that undo what the batch's mean and variance do to their outputs."""

        def measured(convolution: Convolution, name: str) -> None:
            kernel = torch.from_numpy(np.ascontiguousarray(self._tensor(f"{name}.weight"))).flatten(1)
            size = SIZE / float(kernel.square().mean().sqrt())
            convolution.weight.copy_(kernel * size)
            norm, convolution.norm = convolution.norm, nn.Identity()

            def fit(_: nn.Module, __: tuple, found: torch.Tensor) -> torch.Tensor:
                mean, variance = found.mean((0, 2, 3)), found.var((0, 2, 3), unbiased=False)
                deviation = (variance + norm.eps).sqrt()
                norm.running_mean.copy_(mean)
                norm.running_var.copy_(variance)
                norm.weight.copy_(deviation / size)
                norm.bias.copy_(torch.from_numpy(self._tensor(f"{name}.bias").copy()) + mean / size)
                return (found - mean[:, None, None]) / size + norm.bias[:, None, None]

            handle = convolution.register_forward_hook(fit)
            undo.append((handle, convolution, norm))

        undo: list[tuple] = []
        for name, part in tower.named_modules():
            if isinstance(part, Convolution):
                measured(part, name)
        tower.centre.running_mean.copy_(-torch.from_numpy(self._tensor("project.bias").copy()))
        tower.centre.running_var.fill_(1.0)
        tower.eval()
        tower.stem(pictures)
        for handle, convolution, norm in undo:
            handle.remove()
            convolution.norm = norm
        tower.train()
