"""What a comparator begins with: the way that comparing takes through its layers, roughly; training makes it good.

From random weights the answer "A" or "B" stays a coin toss for very long: until a model marks which token belongs to
which candidate, finds like tokens, measures how like they are, and links the measure to a name, none of these steps
lowers the loss by itself: 250 steps taught nothing. Begun like this, both orders together are right in 57 to 74 of 100
hard comparisons before the first step (three seeds), and in 87 after 100 steps.
"""

import torch
from torch.nn.functional import normalize

from geolocated_recipes.mini.comparator import Comparator
from geolocated_recipes.mini.network import Encoder

# Directions in which tokens differ less than this share of the mean are not spread further.
LEAST_VARIANCE = 0.02
# How much more than others a token of the query is looked at that is like a candidate's.
SHARPNESS = 1.5
# How loud the difference, its mean, and the words that mark candidates and the end of a question are.
DIFFERENCE, MEAN, WORDS = 4.0, 2.0, 8.0
# How much the end of a question looks at names, and at small means.
OF_NAMES, OF_MEANS = 3.0, 2.0


@torch.no_grad()
def begin(comparator: Comparator, tower: Encoder, seen: torch.Tensor) -> None:
    """Takes the weights of an encoder's tower. `seen` `[N, width]` are tokens of some pictures."""
    comparator.tower.load_state_dict(tower.state_dict())
    _spread(comparator, seen)
    total = _differ(comparator)
    _answer(comparator, total, _name_words(comparator))


def _spread(comparator: Comparator, seen: torch.Tensor) -> None:
    """Rows of the decoder are around zero, with equal spread in all directions: what all tokens share hides the
    rest."""
    comparator.shared.copy_(seen.mean(0))
    variances, axes = torch.linalg.eigh(torch.cov((seen - comparator.shared).T))
    scaled = axes * (variances + LEAST_VARIANCE * variances.mean()).rsqrt()
    comparator.connector["proj"].weight.copy_(scaled @ axes.T)


def _differ(comparator: Comparator) -> torch.Tensor:
    """The first layer: a token of a candidate looks for its like in the query, and measures in which it differs.

    Returns the direction in which the measure then stands.
    """
    looks, gated = comparator.text.layers[0].self_attn, comparator.text.layers[0].mlp
    turn, across = (torch.linalg.qr(torch.randn_like(looks.q_proj.weight))[0] for _ in range(2))
    for part in (looks.q_proj, looks.k_proj):
        part.weight.copy_(SHARPNESS * turn)
    # The difference stands in half of the directions; the other half stays, for it to be measured against.
    width, half, units = len(across), len(across) // 2, gated.gate_proj.out_features // 4
    looks.v_proj.weight.copy_(across)
    looks.o_proj.weight.copy_(-across.T)
    looks.o_proj.weight[:, half:] = 0
    # Squares of the one half less those of the other.
    total = normalize(torch.randn(width), dim=0)
    for at, (part, sign) in enumerate(((across[:half], 1), (across[half:], -1))):
        some = slice(at * units, (at + 1) * units)
        directions = 2 * torch.randn(units, half) * half**-0.5 @ part
        gated.gate_proj.weight[some], gated.up_proj.weight[some] = directions, directions
        gated.down_proj.weight[:, some] = sign * DIFFERENCE * total[:, None] / units
    return total


def _name_words(comparator: Comparator) -> dict[int, torch.Tensor]:
    """Makes the names of candidates and the last word of a question loud; their directions."""
    rows, words = comparator.text.embed_tokens.weight, comparator.words
    known = [*words.list.answers.tolist(), int(words.pair.suffix.tokens[-1])]
    rows[known] *= WORDS
    return {at: normalize(rows[at], dim=0) for at in known}


def _answer(comparator: Comparator, total: torch.Tensor, words: dict[int, torch.Tensor]) -> None:
    """One head of the second layer: a name takes the mean of the measure over all tokens. One of the third: the end of
    the question answers the name with the least of it."""
    head = slice(0, comparator.sizes.text.head_size)
    # Positions hardly turn the last numbers of a half.
    still = head.stop // 2 - 1
    takes, answers = (comparator.text.layers[at].self_attn for at in (1, 2))
    for layer in (takes, answers):
        for part in (layer.q_proj, layer.k_proj, layer.v_proj):
            part.weight[head] = 0
        layer.o_proj.weight[:, head] = 0
    mean = normalize(torch.randn(len(total)), dim=0)
    takes.v_proj.weight[0] = total
    takes.o_proj.weight[:, 0] = MEAN * mean
    end = int(comparator.words.pair.suffix.tokens[-1])
    names = {at: direction for at, direction in words.items() if at != end}
    together = normalize(torch.stack([*names.values()]).sum(0), dim=0)
    answers.q_proj.weight[still] = words[end]
    answers.k_proj.weight[still] = OF_NAMES * together - OF_MEANS * mean
    for at, direction in enumerate(names.values()):
        answers.v_proj.weight[at], answers.o_proj.weight[:, at] = direction, direction
