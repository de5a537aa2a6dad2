"""The optimizer of matrices: momentum whose step is turned upright (K. Jordan et al., "Muon", 2024).

As that of torch, whose products are in bfloat16 on every CPU: where the CPU has none, that takes longer than all else
in a step.
"""

from collections.abc import Iterable

import torch

# Of the quintic iteration that brings all singular values near one, and how often it is done.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
LEAST_LENGTH = 1e-7


class Muon(torch.optim.Optimizer):
    """Steps have the root mean square of AdamW's, so that rates and decay mean the same (J. Liu et al., "Muon is
    Scalable for LLM Training", 2025)."""

    def __init__(self, params: Iterable, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": 0.0, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step of all matrices that have a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                kept = state.setdefault("momentum_buffer", torch.zeros_like(matrix))
                kept.lerp_(matrix.grad, 1 - group["momentum"])
                upright = turned_upright(matrix.grad.lerp(kept, group["momentum"]))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(upright, alpha=-group["lr"] * 0.2 * max(matrix.shape) ** 0.5)


def turned_upright(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix `[a, b]` of the same singular vectors, whose singular values are all about one."""
    a, b, c = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    found = matrix.T if is_tall else matrix
    found = found / found.norm().clamp(min=LEAST_LENGTH)
    for _ in range(ROUNDS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if is_tall else found
