"""What the steps of a comparison take, model beside model in the same run: CPU time of one thread."""

import time
from pathlib import Path

import numpy as np
from onnxruntime import OrtValue

from geolocated_recipes.vlm.runner import Piece, Runner, State, joined

STEPS = ("tower", "whole", "prefix", "a+b+suffix", "b+suffix", "suffix")


class Steps:
    """One model with its prompt ready. Keys and values stay with the runtime, as they do in the daemon."""

    def __init__(self, folder: Path):
        self.running = Runner(folder)
        drawn = np.random.default_rng(0)
        (entry,) = self.running.manifest["graphs"]["vision_encoder"]["inputs"]
        self.pixels = drawn.uniform(-1, 1, entry["shape"]).astype(np.float32)
        image = self.running.manifest["image"]
        pictures = [drawn.standard_normal((image["tokens"], image["width"])).astype(np.float32) for _ in range(3)]
        self.pieces = self.running.pair_pieces(*pictures)
        self.whole = joined(self.pieces)
        start = State([OrtValue.ortvalue_from_numpy(part) for part in self.running.start.kept])
        self.states = [self._run(self.pieces[:count], start) for count in range(4)]

    def tokens(self) -> list[int]:
        """Tokens of prefix, first, second, suffix."""
        return [len(piece.tokens) for piece in self.pieces]

    def run(self, step: str) -> None:
        """One step."""
        if step == "tower":
            self.running.see(self.pixels)
        elif step == "whole":
            self._run([self.whole], self.states[0])
        else:
            first, end = {"prefix": (0, 1), "a+b+suffix": (1, 4), "b+suffix": (2, 4), "suffix": (3, 4)}[step]
            self._run(self.pieces[first:end], self.states[first])

    def _run(self, pieces: list[Piece], state: State) -> State:
        running = self.running
        for piece in pieces:
            feed, position = running.feed(piece, state)
            feed = {
                name: value if isinstance(value, OrtValue) else OrtValue.ortvalue_from_numpy(value)
                for name, value in feed.items()
            }
            found = running.decoder.run_with_ort_values([running.graph["logits"], *running.present], feed)
            state = State(found[1:], position)
        return state


def measure(models: dict[str, Steps], rounds: int) -> dict[str, dict[str, list[float]]]:
    """CPU milliseconds by model and step, models and steps in turn."""
    times: dict[str, dict[str, list[float]]] = {name: {step: [] for step in STEPS} for name in models}
    for at in range(rounds + 1):
        for step in STEPS:
            for name, model in models.items():
                start = time.process_time()
                model.run(step)
                if at:
                    times[name][step].append((time.process_time() - start) * 1e3)
    return times


def table(times: dict[str, dict[str, list[float]]]) -> list[str]:
    """Medians, one line for each model."""
    steps = next(iter(times.values())).keys()
    lines = [f"{'model':40} " + " ".join(f"{step:>11}" for step in steps)]
    for name, spent in times.items():
        lines.append(f"{name:40} " + " ".join(f"{np.median(values):11.1f}" for values in spent.values()))
    return lines
