"""Two views of a place and the encoders that bring them into one space."""

import numpy as np
import torch
from torch import nn

from geolocated_recipes.mini.fronts import FIRST_ROW, LAST_ROW, SIDE, Polar
from geolocated_recipes.mini.network import Encoder, Shape


def shape(view: str) -> Shape:
    """What the towers of a view see."""
    if view == "nadir":
        return Shape(rows=SIDE, columns=SIDE)
    return Shape(rows=LAST_ROW - FIRST_ROW, columns=2 * SIDE, is_placed=True)


class Bend(nn.Module):
    """A tile as seen from its middle: `[B, 3, 128, 128]` to `[B, 3, 64, 256]`."""

    def __init__(self):
        super().__init__()
        self.shape = Polar()
        places, shares = (torch.from_numpy(np.ascontiguousarray(part)) for part in self.shape.corners())
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """The mean of the four nearest pixels, weighed by their shares."""
        flat = tiles.flatten(2)
        bent = sum(flat[:, :, place] * share for place, share in zip(self.places, self.shares, strict=True))
        return bent.view(len(tiles), 3, self.shape.rows, self.shape.columns)


class Towers(nn.Module):
    """Maps and views to vectors of one space. Views from above share the tower of maps, street views have their own."""

    def __init__(self, view: str):
        super().__init__()
        self.view = view
        self.reference = Encoder(shape(view))
        if view == "street":
            self.query, self.bend = Encoder(shape(view)), Bend()

    def tokens(self, views: torch.Tensor, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures `[B, 3, rows, columns]` in -1 to 1 to tokens of views and of maps."""
        if self.view == "nadir":
            return self.reference.tokens(torch.cat([views, maps])).chunk(2)
        return self.query.tokens(cut(views)), self.reference.tokens(self.bend(maps))

    def vectors(self, views: torch.Tensor, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens to unit vectors of views and of maps."""
        if self.view == "nadir":
            return self.reference.vector(torch.cat([views, maps])).chunk(2)
        return self.query.vector(views), self.reference.vector(maps)

    def forward(self, views: torch.Tensor, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures to unit vectors of views and of maps."""
        return self.vectors(*self.tokens(views, maps))

    def encoders(self) -> list[Encoder]:
        """The towers that have weights of their own."""
        return [self.reference, self.query] if self.view == "street" else [self.reference]


def cut(panoramas: torch.Tensor) -> torch.Tensor:
    """The rows of panoramas in which there is something to see: `[B, 3, 128, 256]` to `[B, 3, 64, 256]`."""
    return panoramas[:, :, FIRST_ROW:LAST_ROW]
