"""Training of the comparator: comparisons of a view's own tile with tiles that the encoder takes for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.mini.beginning import begin
from geolocated_recipes.mini.comparator import Comparator
from geolocated_recipes.mini.comparisons import Asked, Seen, asked, told
from geolocated_recipes.mini.network import Encoder
from geolocated_recipes.mini.run import Run, order

# Of the steps, what each asks: comparisons mostly, since pointwise questions are what they are compared with.
QUESTIONS = ("pair", "pair", "yes_no", "pair", "places", "pair", "score", "list")
LEVELS = 5
# Pairs whose tokens say what tokens share.
MEASURED = 512


@dataclass(frozen=True)
class ComparatorPlan:
    """What is trained, and how."""

    steps: int
    side: int
    """Pixels along a side of what the tower sees."""
    queries: int = 24
    """Of a step."""
    wrong: int = 3
    """Wrong candidates of a query, each compared with the right one."""
    listed: int = 8
    """Candidates of a list, at most."""
    told: int = 8
    """Questions about places in a step of them."""
    rate: float = 1e-3
    other_rate: float = 2e-3
    scale_rate: float = 1e-2
    warm_up: int = 100
    cool: float = 0.7
    decay: float = 0.05
    averaged: float = 0.998
    seed: int = 11


class Evidence(torch.nn.Module):
    """Whether a candidate is the right one, by its last row: a task beside, for training alone."""

    def __init__(self, width: int):
        super().__init__()
        self.weight, self.bias = (torch.nn.Parameter(torch.zeros(size)) for size in (width, 1))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """`[N, width]` to logits, `[N]`."""
        return rows @ self.weight + self.bias


class ComparatorTraining(Run):
    """The decoder and the connector learn; the tower stays as the encoder's training left it."""

    def __init__(self, plan: ComparatorPlan, seen: Seen, held_out: Seen, folder: Path):
        self.seen, self.held_out = seen, held_out
        torch.manual_seed(plan.seed)
        self.comparator = Comparator(plan.side)
        self.comparator.tower.requires_grad_(False).eval()
        self.evidence = Evidence(self.comparator.sizes.text.hidden_size)
        super().__init__(plan, folder, self.comparator, [self.evidence], [])
        for found in (seen, held_out):
            if len(found) < plan.queries:
                raise RecipeError(f"expected at least {plan.queries} pairs, found {len(found)}")

    def begin_with(self, tower: Encoder) -> None:
        """Takes the weights of an encoder's tower."""
        rows = order(self.plan.seed, len(self.seen), 0, min(len(self.seen), MEASURED))
        seen = np.concatenate([part[np.sort(rows)] for part in (self.seen.maps, self.seen.views)]).astype(np.float32)
        begin(self.comparator, tower, torch.from_numpy(seen).flatten(0, 1))
        self.averaged.load_state_dict(self.comparator.state_dict())

    def parts(self) -> dict[str, Any]:
        """Those of every run, and the comparator as it trains."""
        return {"comparator": self.comparator, "evidence": self.evidence, **super().parts()}

    def loss(self) -> torch.Tensor:
        """Of one kind of question."""
        plan, step = self.plan, self.step
        random = np.random.default_rng([plan.seed, step])
        question = QUESTIONS[step % len(QUESTIONS)]
        if question == "places":
            records = told(self.seen, order(plan.seed + 1, len(self.seen), step, plan.told), random)
            return torch.stack([self.comparator.written(*record) for record in records]).mean()
        rows = order(plan.seed, len(self.seen), step, plan.queries)
        if question == "list":
            return self._listed(rows[: plan.queries // 2], random)
        taken = asked(self.seen, rows, plan.wrong, random)
        if question == "pair":
            is_first = random.random(len(taken.queries)) < 0.5
            margins, states = compared(self.comparator, taken, is_first)
            right = torch.from_numpy(is_first).float()
            signs = (2 * right - 1).repeat_interleave(plan.wrong)
            return functional.softplus(-margins * signs).mean() + self._evidence(states, is_first)
        # One right and one wrong candidate of each query.
        some, queries = taken.candidates[:, :2], len(taken.queries)
        owner = torch.arange(queries).repeat_interleave(2)
        logits = self.comparator.single(question, taken.queries, some.flatten(0, 1), owner)
        overlap = taken.overlap[:, :2].flatten()
        # Answers are Yes and No, or 1 to 5.
        right = (overlap == 0).long() if question == "yes_no" else (overlap * (LEVELS - 1)).round().long()
        return functional.cross_entropy(logits, right)

    def _evidence(self, states: tuple[torch.Tensor, torch.Tensor], is_first: np.ndarray) -> torch.Tensor:
        """A task beside: whether a candidate is the right one, by its last row alone. A pair says once what each of its
        candidates can say by itself."""
        wrong, losses = self.plan.wrong, []
        for rows, is_right in zip(states, (is_first, ~is_first), strict=True):
            # One right candidate, or all wrong ones, of each query in turn.
            right = np.concatenate([np.ones(1) if one else np.zeros(wrong) for one in is_right])
            losses.append(
                functional.binary_cross_entropy_with_logits(
                    self.evidence(rows), torch.from_numpy(right).float(), reduction="sum"
                )
            )
        return torch.stack(losses).sum() / (len(is_first) * (1 + wrong))

    def _listed(self, rows: np.ndarray, random: np.random.Generator) -> torch.Tensor:
        taken = asked(self.seen, rows, int(random.integers(1, self.plan.listed)), random)
        shown = torch.from_numpy(random.random(taken.candidates.shape[:2]).argsort(1))
        candidates = taken.candidates[torch.arange(len(rows))[:, None], shown]
        return functional.cross_entropy(self.comparator.choice(taken.queries, candidates), (shown == 0).int().argmax(1))

    def figures(self) -> dict:
        """Of held-out comparisons: how many are right, how many keep their answer in the other order."""
        return {"held_out": judged(self.averaged, self.held_out, self.plan)}


def compared(
    comparator: Comparator, taken: Asked, is_first: np.ndarray
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Margins of A over B of each query's right candidate and its wrong ones, `[Q * wrong]`, query by query, and the
    last rows of all A and of all B. `is_first` `[Q]`: whether the right one is A.
    """
    shown: tuple[list, list] = ([], [])
    which = []
    for query, right_is_first in enumerate(is_first):
        of_right, of_wrong = (0, 1) if right_is_first else (1, 0)
        shown[of_right].append((query, 0))
        for at in range(1, taken.candidates.shape[1]):
            shown[of_wrong].append((query, at))
            last = [len(part) - 1 for part in shown]
            which.append((query, *last))
    firsts, seconds = (taken.candidates[tuple(torch.tensor(part).T)] for part in shown)
    return comparator.pair(taken.queries, firsts, seconds, torch.tensor(which))


@torch.inference_mode()
def judged(comparator: Comparator, seen: Seen, plan: ComparatorPlan, most: int = 384) -> dict[str, float]:
    """Comparisons of held-out queries in both orders: share of right answers, of the same answer, and of right ones
    when both margins are added."""
    first, second = [], []
    for at in range(0, min(len(seen), most), plan.queries):
        rows = np.arange(at, min(at + plan.queries, len(seen)))
        taken = asked(seen, rows, plan.wrong, np.random.default_rng([1, at]))
        queries = len(taken.queries)
        first.append(compared(comparator, taken, np.ones(queries, dtype=bool))[0])
        second.append(-compared(comparator, taken, np.zeros(queries, dtype=bool))[0])
    a, b = torch.cat(first), torch.cat(second)
    right = torch.cat([a > 0, b > 0]).float().mean()
    return {
        "comparisons": len(a),
        "right": round(float(right), 4),
        "right_of_both": round(float((a + b > 0).float().mean()), 4),
        "same": round(float(((a > 0) == (b > 0)).float().mean()), 4),
    }
