"""What is tuned, and how: the published settings of GeoLocSFT (arXiv 2506.01277), and ours where it states none."""

import math
from dataclasses import dataclass

import numpy as np

from geolocated_recipes.errors import RecipeError


@dataclass(frozen=True)
class Plan:
    """The settings of a run. The same plan, base and records go the same way, but for how hardware rounds sums."""

    rank: int = 16
    """Of the adapters; published."""
    alpha: float = 32.0
    """An adapter's product counts `alpha / rank` times; published."""
    rate: float = 2e-5
    """Largest learning rate, which falls along half a cosine; published."""
    epochs: int = 3
    """How often each record is seen; published."""
    batch: int = 2
    """Records that go through the model together; ours. It decides about memory, not about the result."""
    accumulate: int = 4
    """Batches whose gradients make one step; ours."""
    warm_up: float = 0.03
    """Share of the steps in which the rate rises; ours."""
    decay: float = 0.0
    """Weight decay of AdamW; ours."""
    clip: float = 1.0
    """Largest norm of a gradient; ours."""
    side: int | None = None
    """Of pictures in pixels, where the architecture takes any; ours."""
    dtype: str = "float32"
    """Of the base's weights and products; adapters are always float32."""
    seed: int = 7

    def __post_init__(self):
        """Refuses what cannot be trained with, by the name of its option."""
        for name in ("rank", "alpha", "rate", "epochs", "batch", "accumulate"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"--{name}: expected more than 0, found {getattr(self, name)}")
        if not 0 <= self.warm_up < 1:
            raise RecipeError(f"--warm-up: expected a share from 0 to below 1, found {self.warm_up}")

    @property
    def per_step(self) -> int:
        """Records of a step."""
        return self.batch * self.accumulate

    def steps(self, count: int) -> int:
        """Steps over `count` records. The last one may have fewer."""
        return -(-self.epochs * count // self.per_step)

    def rows(self, count: int, step: int) -> list[int]:
        """The numbers of the records of a step: all in random order, epoch after epoch."""
        first = step * self.per_step
        places = range(first, min(first + self.per_step, self.epochs * count))
        orders = {
            epoch: np.random.default_rng([self.seed, epoch]).permutation(count)
            for epoch in {place // count for place in places}
        }
        return [int(orders[place // count][place % count]) for place in places]

    def rate_at(self, count: int, step: int) -> float:
        """The learning rate of a step: up in a line, then down along half a cosine to nothing."""
        steps = self.steps(count)
        rising = math.ceil(self.warm_up * steps)
        if step < rising:
            return self.rate * (step + 1) / rising
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
