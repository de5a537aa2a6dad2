"""The encoder: a convolutional stem, a small vision transformer, attention pooling, unit L2.

As SigLIP's vision tower (X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training", 2023): pre-norm blocks,
learned positions, a pooling head in which one learned query attends to all tokens. The stem replaces the patch
embedding: small models on little data learn faster with it (T. Xiao et al., "Early Convolutions Help Transformers See
Better", 2021).
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

STRIDE = 16


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder. What its stem sees has `rows` x `columns` pixels, a token per 16 x 16 of them."""

    rows: int = 128
    columns: int = 128
    width: int = 192
    depth: int = 8
    heads: int = 6
    embedding: int = 192

    @property
    def tokens(self) -> int:
        """Tokens of one picture."""
        return (self.rows // STRIDE) * (self.columns // STRIDE)


class Stem(nn.Sequential):
    """Four convolutions of stride 2: `[B, 3, rows, columns]` to `[B, width, rows / 16, columns / 16]`."""

    def __init__(self, width: int):
        channels = [3, width // 8, width // 4, width // 2, width]
        layers = []
        for before, after in zip(channels, channels[1:], strict=False):
            convolution = nn.Conv2d(before, after, 3, 2, 1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.GELU(approximate="tanh")]
        super().__init__(*layers, nn.Conv2d(width, width, 1))


class Attention(nn.Module):
    """Every token attends to all."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`[B, T, width]` to the same shape."""
        batch, count, width = tokens.shape
        cut = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        q, k, v = cut.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(1, 2).reshape(batch, count, width))


def mlp(width: int, ratio: int = 4) -> nn.Sequential:
    """Two layers around an activation."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(approximate="tanh"), nn.Linear(ratio * width, width))


class Block(nn.Module):
    """Attention and a perceptron, each added to what comes in."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = Attention(width, heads), mlp(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`[B, T, width]` to the same shape."""
        tokens = tokens + self.attention(self.norm_1(tokens))
        return tokens + self.mlp(self.norm_2(tokens))


class Pool(nn.Module):
    """One learned query attends to all tokens: `[B, T, width]` to `[B, width]`."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.probe = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm, self.mlp = nn.LayerNorm(width), mlp(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens to one vector."""
        batch, count, width = tokens.shape
        k, v = self.kv(tokens).view(batch, count, 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q = self.probe.view(1, 1, self.heads, width // self.heads).transpose(1, 2).expand(batch, -1, -1, -1)
        seen = functional.scaled_dot_product_attention(q, k, v)
        pooled = self.out(seen.transpose(1, 2).reshape(batch, width))
        return pooled + self.mlp(self.norm(pooled))


class Encoder(nn.Module):
    """What the stem sees, `[B, 3, rows, columns]` in -1 to 1, to vectors `[B, embedding]` of unit length."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.stem = Stem(shape.width)
        self.positions = nn.Parameter(torch.randn(1, shape.tokens, shape.width) * 0.02)
        self.blocks = nn.Sequential(*[Block(shape.width, shape.heads) for _ in range(shape.depth)])
        self.norm = nn.LayerNorm(shape.width)
        self.pool = Pool(shape.width, shape.heads)
        self.project = nn.Linear(shape.width, shape.embedding, bias=False)
        # Vectors around zero from the first step on: without it all begin alike, and it takes long to spread them.
        self.centre = nn.BatchNorm1d(shape.embedding, affine=False)

    def tokens(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures to tokens that have seen each other, `[B, tokens, width]`."""
        tokens = self.stem(pictures).flatten(2).transpose(1, 2) + self.positions
        return self.norm(self.blocks(tokens))

    def vector(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens to unit vectors."""
        return functional.normalize(self.centre(self.project(self.pool(tokens))), dim=-1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures to unit vectors."""
        return self.vector(self.tokens(pictures))


class Scale(nn.Module):
    """The learned temperature and bias of the sigmoid loss."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-5.0))

    def loss(self, queries: torch.Tensor, references: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
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
        """Cross-entropy of the tokens of views `[B, T, width]` over those of all maps.

        `shares` `[B, T, T]`: the right tokens of the own map. Maps that overlap a view (`known` is 0) are left out.
        """
        batch, count, _ = views.shape
        flat = torch.cat([views, maps]).flatten(0, 1)
        vectors = functional.normalize(self.centre(self.project(flat)).float(), dim=-1)
        of_views, of_maps = vectors.chunk(2)
        logits = (of_views @ of_maps.T * self.log_scale.exp()).view(batch, count, batch, count)
        logits = logits.masked_fill((known == 0)[:, None, :, None], -1e4).flatten(2)
        own = torch.arange(batch)
        log_shares = functional.log_softmax(logits, dim=-1).view(batch, count, batch, count)[own, :, own]
        is_on = shares.sum(-1) > 0
        return -(log_shares * shares).sum() / is_on.sum().clamp(min=1)
