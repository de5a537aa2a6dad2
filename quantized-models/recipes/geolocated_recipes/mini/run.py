"""A training run that can be stopped at any time and goes on at its last checkpoint."""

import json
import math
import time
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.mini.muon import Muon

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
KEEP_EVERY = 250


class Run:
    """Steps over a module, and the mean of its weights, which is what is kept.

    Everything follows from the number of a step, so that a stopped run goes on as if it had not been. `plan` says
    `steps`, `rate`, `other_rate`, `scale_rate`, `warm_up`, `cool`, `decay`, `averaged`. `heads` are trained beside the
    module and thrown away; `scales` are their single numbers.
    """

    def __init__(self, plan: Any, folder: Path, module: nn.Module, heads: Iterable[nn.Module], scales: list):
        self.plan, self.folder, self.module = plan, folder, module
        trained = [parameter for part in (module, *heads) for parameter in part.parameters() if parameter.requires_grad]
        trained = [parameter for parameter in trained if all(parameter is not scale for scale in scales)]
        # Rows of tables are learned one by one.
        tables = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
        matrices = [p for p in trained if p.ndim == 2 and id(p) not in tables]
        shaped = [p for p in trained if p.ndim > 2 or id(p) in tables]
        others = [p for p in trained if p.ndim < 2]
        turned = {"params": matrices, "weight_decay": plan.decay, "rate": plan.rate}
        self.muon = Muon([turned], lr=plan.rate)
        groups = [
            {"params": shaped, "weight_decay": plan.decay, "rate": plan.other_rate},
            {"params": others, "weight_decay": 0.0, "rate": plan.other_rate},
            {"params": scales, "weight_decay": 0.0, "rate": plan.scale_rate},
        ]
        self.adamw = torch.optim.AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98))
        self.averaged = deepcopy(module)
        self.step, self.spent_s = 0, 0.0

    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds, by name: all that has a state."""
        return {"averaged": self.averaged, "muon": self.muon, "adamw": self.adamw}

    def loss(self) -> torch.Tensor:
        """What this step is to make smaller."""
        raise NotImplementedError

    def figures(self) -> dict:
        """What the log says beside step, seconds and loss."""
        raise NotImplementedError

    def resume(self) -> None:
        """Goes on with what lies in the folder, if there is something."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise RecipeError(f"{path}: expected a run of {asdict(self.plan)}, found {state['plan']}")
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.step, self.spent_s = state["step"], state["spent_s"]

    def run(self, stop_after_s: float = math.inf) -> None:
        """Trains to the last step, or for so many seconds."""
        began, before, losses = time.monotonic(), self.spent_s, []
        while self.step < self.plan.steps and time.monotonic() - began < stop_after_s:
            losses.append(self.advance())
            self.spent_s = before + time.monotonic() - began
            if self.step % KEEP_EVERY == 0 or self.step == self.plan.steps:
                self.keep()
                self._log(float(np.mean(losses)))
                losses = []

    def advance(self) -> float:
        """One step; returns its loss."""
        for optimizer in (self.muon, self.adamw):
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * self._share()
            optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.muon.step()
        self.adamw.step()
        self.step += 1
        self._average()
        return loss.item()

    def keep(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        state = {name: part.state_dict() for name, part in self.parts().items()}
        state |= {"step": self.step, "spent_s": self.spent_s, "plan": asdict(self.plan)}
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def _share(self) -> float:
        """Of the largest rate: up in a line, along, then down along half a cosine to a hundredth."""
        plan = self.plan
        left = min(1.0, (plan.steps - self.step) / (plan.steps * plan.cool))
        return min(1.0, (self.step + 1) / plan.warm_up) * max(0.01, 0.5 * (1 - math.cos(math.pi * left)))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.plan.averaged, self.step / (self.step + 20))
        for kept, new in zip(self.averaged.state_dict().values(), self.module.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _log(self, loss: float) -> None:
        line = {"step": self.step, "spent_s": round(self.spent_s), "loss": round(loss, 4), **self.figures()}
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def order(seed: int, count: int, step: int, size: int) -> np.ndarray:
    """Which `size` of `count` things a step takes: all in random order, pass after pass."""
    per_pass = count // size
    shuffled = np.random.default_rng([seed, step // per_pass]).permutation(count)
    at = step % per_pass * size
    return shuffled[at : at + size]
