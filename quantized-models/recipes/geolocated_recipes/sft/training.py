"""Tuning that can be stopped at any time and goes on at its last checkpoint."""

import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from geolocated_recipes import reference
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.sft import adapter, records
from geolocated_recipes.sft.examples import Examples
from geolocated_recipes.sft.plan import Plan
from geolocated_recipes.sft.records import Record
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


class Tuning:
    """Adapters that learn the answers' tokens. Everything follows from the number of a step."""

    def __init__(self, plan: Plan, checkpoint: VlmCheckpoint, found: list[Record], images: Path, folder: Path):
        self.plan, self.folder, self.count = plan, folder, len(found)
        self.examples = Examples(checkpoint, found)
        # Which weights and which records: a run goes on, and an adapter is merged, with these alone.
        self.origin = {
            "plan": asdict(plan),
            "base": dict(checkpoint.weights_digest()),
            "records": self.count,
            "records_sha256": records.digest(found, images),
            "versions": reference.version(),
        }
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = adapter.adapt(adapter.base(checkpoint, plan.dtype), plan).to(self.device).train()
        self.weights = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        self.adamw = torch.optim.AdamW(self.weights.values(), lr=plan.rate, weight_decay=plan.decay)
        self.step, self.spent_s = 0, 0.0

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.plan.steps(self.count)

    def recompute(self) -> None:
        """Computes activations again on the way back: less memory, more time, the same gradients."""
        self.model.activation_checkpointing_enable({"use_reentrant": False})

    def resume(self) -> None:
        """Goes on with what lies in the folder, if there is something."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            records.check_pictures(self.examples.records)
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        for key, expected in self.origin.items():
            if key != "versions" and state["origin"][key] != expected:
                raise RecipeError(f"{path}: {key}: expected a run of {expected}, found {state['origin'][key]}")
        with torch.no_grad():
            for name, value in self.weights.items():
                value.copy_(state["weights"][name])
        self.adamw.load_state_dict(state["adamw"])
        self.step, self.spent_s = state["step"], state["spent_s"]

    def run(self, stop_after_s: float = math.inf, keep_every: int = 50) -> None:
        """Trains to the last step, or for so many seconds; a finished run has an adapter."""
        began, before, losses = time.monotonic(), self.spent_s, []
        while self.step < self.steps and time.monotonic() - began < stop_after_s:
            losses.append(self.advance())
            self.spent_s = before + time.monotonic() - began
            if self.step % keep_every == 0 or self.step == self.steps:
                self.keep()
                self._log(float(np.mean(losses)))
                losses = []
        if losses:
            self.keep()
            self._log(float(np.mean(losses)))
        target = self.folder / adapter.ADAPTER
        if self.step == self.steps and not target.exists():
            adapter.write(self.model, self.origin, target)

    def advance(self) -> float:
        """One step; returns its loss: the mean over all tokens of its answers, in nats."""
        plan = self.plan
        rows = plan.rows(self.count, self.step)
        # Dropout, where a base has some, is drawn from the number of the step.
        torch.manual_seed(plan.seed + self.step)
        self.adamw.param_groups[0]["lr"] = plan.rate_at(self.count, self.step)
        self.adamw.zero_grad()
        count, total = sum(len(self.examples.tokens[row].answer) for row in rows), 0.0
        for first in range(0, len(rows), plan.batch):
            # A share of the mean over the step, whatever batches it comes in.
            loss = self.summed_loss(rows[first : first + plan.batch]) / count
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise RecipeError(f"step {self.step}: expected a finite loss, found {total}")
        torch.nn.utils.clip_grad_norm_(self.weights.values(), plan.clip)
        self.adamw.step()
        self.step += 1
        return total

    def summed_loss(self, rows: list[int]) -> torch.Tensor:
        """The loss of some records, summed over the tokens of their answers."""
        batch = self.examples.batch(rows)
        inputs = {name: value.to(self.device) for name, value in batch.inputs.items()}
        # Logits of the answers alone: those of all positions, over a large vocabulary, would take most of the memory.
        found = self.model(**inputs, logits_to_keep=batch.predicts.to(self.device), use_cache=False).logits
        return functional.cross_entropy(found.float(), batch.answers.to(self.device), reduction="sum")

    def keep(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        state = {
            "weights": {name: value.detach() for name, value in self.weights.items()},
            "adamw": self.adamw.state_dict(),
            "step": self.step,
            "spent_s": self.spent_s,
            "origin": self.origin,
        }
        part = self.folder / f"{CHECKPOINT}.part"
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def _log(self, loss: float) -> None:
        line = {
            "step": self.step,
            "of": self.steps,
            "epoch": round(self.step * self.plan.per_step / self.count, 3),
            "spent_s": round(self.spent_s, 1),
            "loss": round(loss, 5),
            "rate": self.plan.rate_at(self.count, self.step - 1),
        }
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
