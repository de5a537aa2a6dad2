"""The encoder: a convolutional stem, a small vision transformer, pooling, unit L2.

As SigLIP's vision tower (X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023): pre-norm blocks and a
pooling head. Where SigLIP's has one query that attends to all tokens, tokens are shared out among clusters, whose means
lie side by side in the vector (`Clusters`). A residual network is the stem, as in hybrid models (A.
Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021): small models on little data learn much faster with it.
Attention knows how far tokens are from each other, not where they are, so that a view from above means the same under
any heading.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

# Of the stem in all.
STRIDE = 16


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder. What its stem sees has `rows` x `columns` pixels, a token per 16 x 16 of them."""

    rows: int = 128
    columns: int = 128
    is_placed: bool = False
    """Whether tokens carry learned positions: for pictures that stand upright."""
    channels: tuple[int, ...] = (48, 96, 192)
    """Of the stages of the stem; the first has a quarter of the pixels along a side, each other one half of them."""
    residuals: tuple[int, ...] = (1, 2, 2)
    """Residual pairs of convolutions in each stage."""
    width: int = 192
    depth: int = 3
    heads: int = 6
    clusters: int = 32
    cluster_width: int = 32
    """Numbers of a cluster, before all are projected together."""
    embedding: int = 256

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.rows // STRIDE, self.columns // STRIDE

    @property
    def tokens(self) -> int:
        """Tokens of one picture."""
        return self.grid[0] * self.grid[1]


class Convolution(nn.Module):
    """A convolution, normalised over the batch. Its weights are a matrix `[outputs, inputs * rows * columns]`, which
    is what the optimizer turns upright."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int):
        super().__init__()
        self.cut, self.stride, self.padding = (outputs, inputs, size, size), stride, size // 2
        self.weight = nn.Parameter(nn.Conv2d(inputs, outputs, size, bias=False).weight.detach().flatten(1).clone())
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """`[B, inputs, rows, columns]` to `[B, outputs, rows / stride, columns / stride]`."""
        return self.norm(functional.conv2d(pictures, self.weight.view(self.cut), None, self.stride, self.padding))


class Residual(nn.Module):
    """Two convolutions, added to what comes in; nothing at first."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = (Convolution(channels, channels, 3, 1) for _ in range(2))
        nn.init.zeros_(self.second.norm.weight)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """`[B, channels, rows, columns]` to the same shape."""
        return functional.relu(pictures + self.second(functional.relu(self.first(pictures))))


class Stem(nn.Module):
    """`[B, 3, rows, columns]` to `[B, width, rows / 16, columns / 16]`."""

    def __init__(self, shape: Shape):
        super().__init__()
        before = (3, *shape.channels)
        self.steps = nn.ModuleList(
            [Convolution(before[0], before[1], 7, 4)]
            + [Convolution(before[at], before[at + 1], 3, 2) for at in range(1, len(shape.channels))]
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[Residual(channels) for _ in range(count)])
            for channels, count in zip(shape.channels, shape.residuals, strict=True)
        )
        self.out = nn.Conv2d(shape.channels[-1], shape.width, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures to features of 16 x 16 pixels each."""
        for step, stage in zip(self.steps, self.stages, strict=True):
            pictures = stage(functional.relu(step(pictures)))
        return self.out(pictures)


def distances(grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the distances that occur lies between two tokens, `[tokens, tokens]`, and their squares, in order."""
    axes = [torch.arange(side) for side in grid]
    at = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 2)
    squared = ((at[:, None] - at[None]) ** 2).sum(-1)
    values, which = torch.unique(squared, return_inverse=True)
    return which, values


class Attention(nn.Module):
    """Every token attends to all; each head learns how far it looks."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        which, squared = distances(shape.grid)
        self.register_buffer("which", which, persistent=False)
        self.reach = nn.Parameter(torch.zeros(1, shape.heads, len(squared)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`[B, T, width]` to the same shape."""
        batch, count, width = tokens.shape
        cut = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        q, k, v = cut.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=self.reach[:, :, self.which].to(q.dtype))
        return self.out(seen.transpose(1, 2).reshape(batch, count, width))


def mlp(width: int, ratio: int = 4) -> nn.Sequential:
    """Two layers around an activation."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(approximate="tanh"), nn.Linear(ratio * width, width))


class Block(nn.Module):
    """Attention and a perceptron, each added to what comes in."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.attention, self.mlp = Attention(shape), mlp(shape.width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`[B, T, width]` to the same shape."""
        tokens = tokens + self.attention(self.norm_1(tokens))
        return tokens + self.mlp(self.norm_2(tokens))


class Clusters(nn.Module):
    """Tokens shared out among clusters, each of which sums up what its tokens say, `[B, T, width]` to
    `[B, clusters * size]`: as NetVLAD (R. Arandjelovic et al., "NetVLAD: CNN architecture for weakly supervised place
    recognition", 2016), with learned projections in place of distances to the clusters' middles.

    Sums are of unit length each, so that what fills much of a picture does not outweigh the rest.
    """

    count = 1
    """Of what is projected for one picture."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.width = shape.clusters * shape.cluster_width
        self.assign = nn.Linear(shape.width, shape.clusters)
        self.say = nn.Linear(shape.width, shape.cluster_width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens to one vector."""
        shares = self.assign(tokens).softmax(-1)
        return functional.normalize(shares.transpose(1, 2) @ self.say(tokens), dim=-1).flatten(1)


class Columns(nn.Module):
    """The tokens of each column side by side, `[B, T, width]` to `[B, columns, rows * width]`: of pictures once around,
    what lies in each direction keeps its place in the vector."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.grid = shape.grid
        self.count, self.width = shape.grid[1], shape.grid[0] * shape.width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens to one row a column."""
        return tokens.unflatten(1, self.grid).transpose(1, 2).flatten(2)


class Encoder(nn.Module):
    """What the stem sees, `[B, 3, rows, columns]` in -1 to 1, to vectors `[B, embedding]` of unit length."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.stem = Stem(shape)
        self.positions = nn.Parameter(torch.randn(1, shape.tokens, shape.width) * 0.02) if shape.is_placed else None
        self.blocks = nn.Sequential(*[Block(shape) for _ in range(shape.depth)])
        self.norm = nn.LayerNorm(shape.width)
        self.pool = Columns(shape) if shape.is_placed else Clusters(shape)
        self.project = nn.Linear(self.pool.width, shape.embedding // self.pool.count, bias=False)
        # Vectors around zero from the first step on: without it all begin alike, and it takes long to spread them.
        self.centre = nn.BatchNorm1d(shape.embedding, affine=False)

    def tokens(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures to tokens that have seen each other, `[B, tokens, width]`."""
        tokens = self.stem(pictures).flatten(2).transpose(1, 2)
        if self.positions is not None:
            tokens = tokens + self.positions
        return self.norm(self.blocks(tokens))

    def vector(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens to unit vectors."""
        return functional.normalize(self.centre(self.project(self.pool(tokens)).flatten(1)), dim=-1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures to unit vectors."""
        return self.vector(self.tokens(pictures))


class Scale(nn.Module):
    """The learned temperature and bias of the sigmoid loss."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-5.0))

    def forward(self, queries: torch.Tensor, references: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Of `[B, E]` and `[B, E]`. `known` `[B, B]`: 1 the same place, -1 another one, 0 is not counted."""
        logits = queries @ references.T * self.log_scale.exp() + self.bias
        each = -functional.logsigmoid(known * logits) * (known != 0)
        return each.sum() / len(queries)


class Local(nn.Module):
    """Which token of which tile shows what a token of a view shows: a task beside, for training alone.

    A pair of pictures says once whether they show the same place; its tokens say many times what looks alike from
    above in another season and light, and under any heading.
    """

    def __init__(self, width: int, embedding: int = 64):
        super().__init__()
        self.project = nn.Linear(width, embedding, bias=False)
        self.centre = nn.BatchNorm1d(embedding, affine=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(
        self, views: torch.Tensor, maps: torch.Tensor, shares: torch.Tensor, known: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of some tokens of views `[B, S, width]` over those of all maps `[B, T, width]`.

        `shares` `[B, S, T]`: the right tokens of the own map. Maps that overlap a view (`known` is 0) are left out.
        """
        batch, some, _ = views.shape
        flat = torch.cat([views.flatten(0, 1), maps.flatten(0, 1)]).float()
        vectors = functional.normalize(self.centre(self.project(flat)), dim=-1)
        of_views, of_maps = vectors[: batch * some], vectors[batch * some :]
        logits = (of_views @ of_maps.T * self.log_scale.exp()).view(batch, some, batch, -1)
        logits = logits.masked_fill((known == 0)[:, None, :, None], -1e4)
        own = torch.arange(batch)
        log_shares = logits[own, :, own] - logits.flatten(2).logsumexp(-1, keepdim=True)
        is_on = shares.sum(-1) > 0
        return -(log_shares * shares).sum() / is_on.sum().clamp(min=1)


class Directions(nn.Module):
    """Which tile shows in a direction what a panorama shows there: a task beside, for training alone. A vector holds
    its directions side by side."""

    def __init__(self, count: int):
        super().__init__()
        self.count = count
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, views: torch.Tensor, maps: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of each direction of views `[B, E]` over that of all maps `[B, E]`; maps that overlap a view
        (`known` is 0) are left out, and views that know nothing."""
        of_views, of_maps = (
            functional.normalize(part.unflatten(1, (self.count, -1)), dim=-1).transpose(0, 1) for part in (views, maps)
        )
        logits = (of_views @ of_maps.transpose(1, 2) * self.log_scale.exp()).masked_fill(known == 0, -1e4)
        own = known.diagonal() == 1
        shares = logits.diagonal(dim1=1, dim2=2) - logits.logsumexp(-1)
        return -(shares * own).sum() / (own.sum().clamp(min=1) * self.count)
