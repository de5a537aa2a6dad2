"""Training by the sigmoid loss over pairs of a map tile and a view, with negatives from the same region."""

import json
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.mini.fronts import SIDE
from geolocated_recipes.mini.ground import shares
from geolocated_recipes.mini.network import STRIDE, Local, Scale
from geolocated_recipes.mini.pairs import Batch, Pairs, batch
from geolocated_recipes.mini.towers import Towers

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
KEEP_EVERY = 250


@dataclass(frozen=True)
class Plan:
    """What is trained, and how. The same plan and the same pairs go the same way, but for how a CPU rounds sums."""

    view: str
    """`nadir` or `street`."""
    steps: int
    """In all; the learning rate ends at this step."""
    runs: int = 2
    """Runs of rows in a batch, each of one region."""
    length: int = 32
    """Rows of a run."""
    rate: float = 5e-3
    """Largest learning rate of matrices, by Muon (K. Jordan et al., 2024)."""
    other_rate: float = 2e-3
    """Of all else, by AdamW."""
    scale_rate: float = 1e-2
    """Learning rate of temperature and bias, which have a long way to go."""
    warm_up: int = 100
    """Steps in which the rate rises."""
    cool: float = 0.6
    """Share of the steps, the last ones, in which the rate falls along half a cosine."""
    decay: float = 0.05
    """Weight decay of matrices."""
    locals: int = 24
    """Tokens of a view whose places are asked for in a step."""
    averaged: float = 0.998
    """How slowly the mean of the weights follows, which is what is kept."""
    seed: int = 7


class Training:
    """A run that can be stopped at any time and goes on at its last checkpoint."""

    def __init__(self, plan: Plan, pairs: Pairs, held_out: Pairs, folder: Path):
        self.plan, self.pairs, self.held_out, self.folder = plan, pairs, held_out, folder
        torch.manual_seed(plan.seed)
        self.towers = Towers(plan.view).to(memory_format=torch.channels_last)
        self.scale = Scale()
        # Where a panorama's tokens lie on the ground is not known: they have depth.
        self.local = Local(self.towers.reference.shape.width) if plan.view == "nadir" else None
        self.local_losses: list[float] = []
        trained = [*self.towers.parameters(), *(self.local.project.parameters() if self.local else [])]
        matrices = [p for p in trained if p.ndim == 2]
        shaped = [p for p in trained if p.ndim > 2]
        others = [p for p in trained if p.ndim < 2]
        scales = [*self.scale.parameters(), *([self.local.log_scale] if self.local else [])]
        turned = {"params": matrices, "weight_decay": plan.decay, "rate": plan.rate}
        self.muon = torch.optim.Muon([turned], lr=plan.rate, momentum=0.95, adjust_lr_fn="match_rms_adamw")
        groups = [
            {"params": shaped, "weight_decay": plan.decay, "rate": plan.other_rate},
            {"params": others, "weight_decay": 0.0, "rate": plan.other_rate},
            {"params": scales, "weight_decay": 0.0, "rate": plan.scale_rate},
        ]
        self.adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.averaged = deepcopy(self.towers)
        self.step, self.spent_s = 0, 0.0
        self.per_pass = sum(len(records) // plan.length for records in pairs.records) // plan.runs
        if self.per_pass == 0:
            raise RecipeError(f"expected at least {plan.runs * plan.length} pairs, found {len(pairs)}")

    def begin_with(self, folder: Path) -> None:
        """Takes what fits of the weights of another run's tower of tiles. Towers begin alike."""
        kept = torch.load(folder / CHECKPOINT, weights_only=True)["averaged"]
        kept = {name.removeprefix("reference."): value for name, value in kept.items() if name.startswith("reference.")}
        for tower in self.towers.encoders():
            own = tower.state_dict()
            tower.load_state_dict(
                own | {name: kept[name] for name in own if name in kept and kept[name].shape == own[name].shape}
            )
        self.averaged = deepcopy(self.towers)

    def resume(self) -> None:
        """Goes on with what lies in the folder, if there is something."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise RecipeError(f"{path}: expected a run of {asdict(self.plan)}, found {state['plan']}")
        for name in self._parts():
            getattr(self, name).load_state_dict(state[name])
        self.step, self.spent_s = state["step"], state["spent_s"]

    def run(self, stop_after_s: float = math.inf) -> None:
        """Trains to the last step, or for so many seconds."""
        began, before, losses = time.monotonic(), self.spent_s, []
        while self.step < self.plan.steps and time.monotonic() - began < stop_after_s:
            losses.append(self._step())
            self.spent_s = before + time.monotonic() - began
            if self.step % KEEP_EVERY == 0 or self.step == self.plan.steps:
                self._keep()
                self._log(float(np.mean(losses)))
                losses = []

    def _step(self) -> float:
        plan, step = self.plan, self.step
        # Everything follows from the number of the step, so that a stopped run goes on as if it had not been.
        random, generator = np.random.default_rng([plan.seed, step]), torch.Generator().manual_seed(step)
        order = self.pairs.runs(plan.length, np.random.default_rng([plan.seed + 1, step // self.per_pass]))
        at = step % self.per_pass * plan.runs
        taken = batch(self.pairs, plan.view, order[at : at + plan.runs], plan.length, random)
        maps, views = (jittered(normalized(pictures), generator) for pictures in (taken.maps, taken.views))
        for optimizer in (self.muon, self.adamw):
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * self._share()
        with torch.autocast("cpu", torch.bfloat16):
            tokens = self.towers.tokens(views, maps)
            of_views, of_maps = self.towers.vectors(*tokens)
        loss = whole = self.scale.loss(of_views.float(), of_maps.float(), taken.known)
        if self.local is not None:
            local = self._local(tokens, taken, generator)
            self.local_losses.append(local.item())
            whole = loss + local
        self.muon.zero_grad()
        self.adamw.zero_grad()
        whole.backward()
        torch.nn.utils.clip_grad_norm_(self.towers.parameters(), 1.0)
        self.muon.step()
        self.adamw.step()
        self.step += 1
        self._average()
        return loss.item()

    def _local(
        self, tokens: tuple[torch.Tensor, torch.Tensor], taken: Batch, generator: torch.Generator
    ) -> torch.Tensor:
        """The loss of some tokens of each view."""
        of_views, of_maps = tokens
        batch, count, width = of_views.shape
        right = torch.from_numpy(shares(taken.records, taken.of_maps, taken.of_views, SIDE // STRIDE))
        some = torch.rand(batch, count, generator=generator).argsort(dim=1)[:, : self.plan.locals, None]
        of_views = torch.gather(of_views, 1, some.expand(-1, -1, width))
        return self.local(of_views, of_maps, torch.gather(right, 1, some.expand(-1, -1, count)), taken.known)

    def _share(self) -> float:
        """Of the largest rate: up in a line, along, then down along half a cosine to a hundredth."""
        plan = self.plan
        left = min(1.0, (plan.steps - self.step) / (plan.steps * plan.cool))
        return min(1.0, (self.step + 1) / plan.warm_up) * max(0.01, 0.5 * (1 - math.cos(math.pi * left)))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.plan.averaged, self.step / (self.step + 20))
        for kept, new in zip(self.averaged.state_dict().values(), self.towers.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _parts(self) -> tuple[str, ...]:
        return ("towers", "averaged", "scale", "muon", "adamw", *(("local",) if self.local is not None else ()))

    def _keep(self) -> None:
        state = {name: getattr(self, name).state_dict() for name in self._parts()}
        state |= {"step": self.step, "spent_s": self.spent_s, "plan": asdict(self.plan)}
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def _log(self, loss: float) -> None:
        """One line: where the run is, and Recall@1 and @5 of held-out views among the maps of all of them."""
        at_1, at_5 = recall(self.averaged, self.held_out)
        line = {
            "step": self.step,
            "spent_s": round(self.spent_s),
            "loss": round(loss, 4),
            **({"local_loss": round(float(np.mean(self.local_losses)), 4)} if self.local_losses else {}),
            "scale": round(float(self.scale.log_scale.detach().exp()), 2),
            "bias": round(float(self.scale.bias.detach()), 2),
            "held_out_recall": {"1": round(at_1, 4), "5": round(at_5, 4)},
        }
        self.local_losses = []
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def normalized(pictures: torch.Tensor) -> torch.Tensor:
    """Levels 0 to 255 to -1 to 1."""
    return pictures.contiguous(memory_format=torch.channels_last).float() / 127.5 - 1.0


def jittered(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast and colour of each picture a little changed."""
    one, each = (len(pictures), 1, 1, 1), (len(pictures), 3, 1, 1)
    gain = 1 + 0.15 * torch.randn(one, generator=generator)
    shift = 0.1 * torch.randn(one, generator=generator)
    colour = 1 + 0.06 * torch.randn(each, generator=generator)
    return (pictures * gain * colour + shift).clamp(-1.3, 1.3)


@torch.inference_mode()
def recall(towers: Towers, pairs: Pairs, most: int = 1024) -> tuple[float, float]:
    """Share of views whose own map is the most similar of all, and among the five most similar."""
    towers.eval()
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    seen = []
    for first in range(0, min(len(pairs), most), 64):
        maps, views, records = pairs.rows(first, 64)
        tensors = (normalized(torch.from_numpy(np.array(part)).permute(0, 3, 1, 2)) for part in (views, maps))
        with torch.autocast("cpu", torch.bfloat16):
            of_views, of_maps = towers(*tensors)
        found.append((of_views.float(), of_maps.float()))
        seen.append(~np.isnan(records[:, pairs.place]))
    towers.train()
    views, maps = (torch.cat(part) for part in zip(*found, strict=True))
    scores = views @ maps.T
    rank = (scores > scores.diagonal()[:, None]).sum(1)[torch.from_numpy(np.concatenate(seen))]
    return float((rank < 1).float().mean()), float((rank < 5).float().mean())
