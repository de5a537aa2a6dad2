"""A small causal decoder, in the arithmetic that `vlm/decoder.py` writes as a graph: root mean square norms, rotary
positions, gated layers, as Llama's (H. Touvron et al., 2023). Its weights carry the names of published checkpoints.
"""

import torch
from torch import nn
from torch.nn import functional

from geolocated_recipes.vlm.rotation import angles
from geolocated_recipes.vlm.shape import Text

Kept = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, `[N, heads, tokens, head_size]`."""


class Norm(nn.Module):
    """Division by the root of the mean square."""

    def __init__(self, width: int, epsilon: float):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`[..., width]` to the same shape."""
        return tokens * torch.rsqrt(tokens.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Attention(nn.Module):
    """Tokens attend to what was kept and to those before them."""

    def __init__(self, text: Text):
        super().__init__()
        self.heads, self.head_size = text.heads, text.head_size
        wide = text.heads * text.head_size
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(text.hidden_size, wide, bias=False) for _ in range(3))
        self.o_proj = nn.Linear(wide, text.hidden_size, bias=False)
        # Tokens look at first at what is like them: where two pictures show the same thing.
        self.k_proj.weight.data.copy_(self.q_proj.weight.data)

    def forward(
        self,
        tokens: torch.Tensor,
        turn: torch.Tensor,
        visible: torch.Tensor,
        past: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """`[N, T, width]` to the same shape, and the keys and values of all tokens up to here. `visible` `[T, T]` is
        which tokens see which of these; all see the past."""
        count, length, _ = tokens.shape
        q, k, v = (
            part(tokens).view(count, length, self.heads, self.head_size).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = turned(q, turn), turned(k, turn)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        seen = functional.pad(visible, (k.shape[2] - length, 0), value=True)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        return self.o_proj(mixed.transpose(1, 2).reshape(count, length, -1)), (k, v)


class Gated(nn.Module):
    """The gated layer."""

    def __init__(self, text: Text):
        super().__init__()
        self.gate_proj, self.up_proj = (
            nn.Linear(text.hidden_size, text.intermediate_size, bias=False) for _ in range(2)
        )
        self.down_proj = nn.Linear(text.intermediate_size, text.hidden_size, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`[..., width]` to the same shape."""
        return self.down_proj(functional.silu(self.gate_proj(tokens)) * self.up_proj(tokens))


class Layer(nn.Module):
    """Attention and a gated layer, each added to what comes in."""

    def __init__(self, text: Text):
        super().__init__()
        self.input_layernorm = Norm(text.hidden_size, text.norm_eps)
        self.post_attention_layernorm = Norm(text.hidden_size, text.norm_eps)
        self.self_attn, self.mlp = Attention(text), Gated(text)


class Decoder(nn.Module):
    """Rows of tokens to the rows that logits are made of."""

    def __init__(self, text: Text):
        super().__init__()
        self.embed_tokens = nn.Embedding(text.vocabulary, text.hidden_size)
        # They make logits, too, which are to be of size one at first.
        nn.init.normal_(self.embed_tokens.weight, std=text.hidden_size**-0.5)
        self.layers = nn.ModuleList(Layer(text) for _ in range(text.layers))
        self.norm = Norm(text.hidden_size, text.norm_eps)
        found = torch.from_numpy(angles(text.rope, text.head_size, text.positions)).float()
        self.register_buffer("turns", torch.stack([found.cos(), found.sin()]), persistent=False)

    def forward(
        self, tokens: torch.Tensor, times: torch.Tensor, visible: torch.Tensor, past: Kept | None = None
    ) -> tuple[torch.Tensor, Kept]:
        """`[N, T, width]` at `times` `[T]`, seeing each other as `visible` `[T, T]` says, after `past`. Returns the
        rows that logits are made of, and what is kept of all up to here.
        """
        turn, kept = self.turns[:, times], []
        for at, layer in enumerate(self.layers):
            mixed, own = layer.self_attn(layer.input_layernorm(tokens), turn, visible, past[at] if past else None)
            kept.append(own)
            tokens = tokens + mixed
            tokens = tokens + layer.mlp(layer.post_attention_layernorm(tokens))
        return self.norm(tokens), kept


def turned(heads: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """`[N, heads, T, head_size]`, pairs of numbers turned by its angle: `turn` is cosine and sine, `[2, T, half]`."""
    first, second = heads.chunk(2, dim=-1)
    cos, sin = turn
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
