"""The loss of pairs of views from above: which map shows what a view shows, and the other way round."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from geolocated_recipes.mini.pairs import COLUMNS, Pairs


class Contrast(nn.Module):
    """Softmax over all of the other kind in a batch and in the batches before (X. Wang et al., "Cross-Batch Memory for
    Embedding Learning", 2020): a small batch has few hard negatives, and vectors change slowly."""

    def __init__(self, pairs: Pairs, embedding: int, remembered: int = 0):
        super().__init__()
        self.pairs = pairs
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.register_buffer("views", torch.zeros(remembered, embedding))
        self.register_buffer("maps", torch.zeros(remembered, embedding))
        self.register_buffer("records", torch.zeros(remembered, COLUMNS, dtype=torch.float64))
        self.register_buffer("written", torch.tensor(0))

    def forward(self, views: torch.Tensor, maps: torch.Tensor, records: np.ndarray) -> torch.Tensor:
        """Cross-entropy, the mean of both ways, of `[B, E]` and `[B, E]` with records `[B, 16]`. What overlaps but is
        not a pair is left out."""
        filled = min(int(self.written), len(self.records))
        before = self.records[:filled].numpy()
        overlap = self.pairs.overlap(records, records)
        np.fill_diagonal(overlap, False)
        losses = []
        for own, others, kept, beside in (
            (views, maps, self.maps, (overlap, self.pairs.overlap(records, before))),
            (maps, views, self.views, (overlap.T, self.pairs.overlap(before, records).T)),
        ):
            logits = own @ torch.cat([others, kept[:filled]]).T * self.log_scale.exp()
            logits = logits.masked_fill(torch.from_numpy(np.concatenate(beside, axis=1)), -1e4)
            losses.append(functional.cross_entropy(logits, torch.arange(len(own))))
        self._remember(views.detach(), maps.detach(), records)
        return torch.stack(losses).mean()

    def _remember(self, views: torch.Tensor, maps: torch.Tensor, records: np.ndarray) -> None:
        """In place of the oldest."""
        if len(self.records):
            at = (torch.arange(len(views)) + self.written) % len(self.records)
            self.views[at], self.maps[at], self.records[at] = views, maps, torch.from_numpy(records).double()
            self.written += len(views)
