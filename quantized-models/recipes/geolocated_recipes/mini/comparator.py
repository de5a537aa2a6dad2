"""The comparator: which of two tiles shows the place of a view. A tower, a connector, a small decoder, few words.

Candidates see the query and themselves, not each other, and the question sees all: what a candidate costs is spent
once, and a comparison costs the question alone.
"""

import json
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from geolocated_recipes.mini import places
from geolocated_recipes.mini.decoder import Decoder, Kept
from geolocated_recipes.mini.network import STRIDE, Encoder, Shape, distances
from geolocated_recipes.tower import Tower
from geolocated_recipes.vlm import positions, prompts, vocabulary
from geolocated_recipes.vlm.shape import Rope, Text
from geolocated_recipes.vlm.shape import Shape as VlmShape

ARCHITECTURE = "mini"
LAYERS, GATED = 4, 512
POSITIONS = 1152
# Slow turns: where a token stands in its picture says little, what it shows says all.
THETA = 1e9


def tokenizer() -> dict:
    """The content of `tokenizer.json`: the words of the questions."""
    turns = prompts.TURNS[ARCHITECTURE]
    return vocabulary.tokenizer([*prompts.texts(prompts.table(turns)), *places.WORDS], turns.specials)


def shape(side: int) -> VlmShape:
    """Sizes for pictures of `side` pixels, as the export of comparators asks for them."""
    tower = Shape(rows=side, columns=side)
    words = len(tokenizer()["model"]["vocab"])
    head_size = tower.width // tower.heads
    text = Text(
        hidden_size=tower.width,
        intermediate_size=GATED,
        layers=LAYERS,
        heads=tower.heads,
        kv_heads=tower.heads,
        head_size=head_size,
        vocabulary=words,
        norm_eps=1e-5,
        rope=Rope(THETA),
        positions=POSITIONS,
        has_bias=False,
        is_tied=True,
        activation="silu",
        score_scale=head_size**-0.5,
        hides_own_picture=True,
    )
    vision = Tower(
        architecture=ARCHITECTURE,
        image_size=side,
        patch_size=STRIDE,
        hidden_size=tower.width,
        intermediate_size=4 * tower.width,
        layers=tower.depth,
        heads=tower.heads,
        activation="gelu_pytorch_tanh",
        layer_norm_eps=1e-5,
    )
    return VlmShape(ARCHITECTURE, vision, text, 1)


@dataclass(frozen=True)
class Piece:
    """A part of a prompt: numbers of its tokens, and which of them stand for its pictures of `side` x `side` tokens."""

    tokens: torch.Tensor
    is_picture: torch.Tensor
    side: int

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.tokens)

    @property
    def image_at(self) -> int:
        """Where its picture begins."""
        return int(self.is_picture.int().argmax())

    @cached_property
    def places(self) -> tuple[torch.Tensor, int]:
        """Time, row and column of each token, `[3, T]`, and where the next piece begins."""
        found, after = positions.places(self.is_picture.numpy(), self.side, self.side)
        return torch.from_numpy(found), after

    @cached_property
    def visible(self) -> torch.Tensor:
        """Which tokens see which, `[T, T]`: those before them, but for those of their own picture."""
        time, row, column = self.places[0]
        own = (time[:, None] == time[None]) & ((row > time) | (column > time))[:, None]
        return torch.ones(self.length, self.length, dtype=torch.bool).tril() & ~own


@dataclass(frozen=True)
class Question:
    """What is asked: a piece for each candidate, the question itself, and the tokens of its answers."""

    candidates: list[Piece]
    suffix: Piece
    answers: torch.Tensor


class Words:
    """The prompts, cut into tokens."""

    def __init__(self, image_tokens: int):
        self.tokenizer, self.image_tokens = Tokenizer.from_str(json.dumps(tokenizer())), image_tokens
        self.placeholder = self.tokenizer.token_to_id("<image>")
        table = prompts.table(prompts.TURNS[ARCHITECTURE])
        self.prefix = self.piece(table["prefix"])
        pair, listed, single = table["pair"], table["list"], {name: table[name] for name in ("yes_no", "score")}
        self.pair = self._question([pair["first"], pair["second"]], pair)
        letters = [answer.strip() for answer in listed["answers"]]
        self.list = self._question([listed["candidate"].replace("{answer}", letter) for letter in letters], listed)
        self.single = {name: self._question([part["candidate"]], part) for name, part in single.items()}

    def written(self, question: str, answer: str) -> tuple[Piece, int]:
        """A picture, a question and its answer, and how many tokens the answer has."""
        turns = prompts.TURNS[ARCHITECTURE]
        asked = self.piece(prompts.generate(turns, POSITIONS)["prompt"].replace("{text}", question))
        told = self.piece(f"{turns.space}{answer}\n")
        both = zip((asked.tokens, asked.is_picture), (told.tokens, told.is_picture), strict=True)
        return Piece(*(torch.cat(parts) for parts in both), asked.side), told.length

    def piece(self, text: str) -> Piece:
        """A text with room for its picture."""
        text = text.replace("{image}", "<image>" * self.image_tokens)
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.of(torch.tensor(ids))

    def of(self, tokens: torch.Tensor) -> Piece:
        """Tokens of a prompt, those of its pictures among them."""
        return Piece(tokens, tokens == self.placeholder, math.isqrt(self.image_tokens))

    def _question(self, candidates: list[str], part: dict) -> Question:
        answers = [self.tokenizer.encode(text, add_special_tokens=False).ids for text in part["answers"]]
        first = torch.tensor(answers)[:, 0]
        return Question([self.piece(text) for text in candidates], self.piece(part["suffix"]), first)


class Comparator(nn.Module):
    """Pictures and questions to logits of answers."""

    def __init__(self, side: int):
        super().__init__()
        self.sizes = shape(side)
        self.tower = Encoder(Shape(rows=side, columns=side))
        wide = self.sizes.vision.hidden_size, self.sizes.text.hidden_size
        self.connector = nn.ModuleDict({"proj": nn.Linear(*wide, bias=False)})
        # What all tokens of all pictures share; an export takes it from the tower's last bias.
        self.register_buffer("shared", torch.zeros(wide[0]))
        self.text = Decoder(self.sizes.text)
        self.words = Words(self.sizes.image_tokens)

    def see(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures `[N, 3, side, side]` in -1 to 1 to what the tower says of them, `[N, tokens, width]`."""
        return self.tower.tokens(pictures)

    def rows(self, piece: Piece, seen: torch.Tensor | None, count: int) -> torch.Tensor:
        """`count` copies of a piece, each with its picture, `[count, tokens, width]`."""
        rows = self.text.embed_tokens(piece.tokens).expand(count, -1, -1)
        if seen is None:
            return rows
        at = piece.image_at
        return torch.cat([rows[:, :at], self.connect(seen), rows[:, at + seen.shape[1] :]], dim=1)

    def connect(self, seen: torch.Tensor) -> torch.Tensor:
        """What the tower says to rows of the decoder, `[N, tokens, width]`."""
        return self.connector["proj"](seen - self.shared)

    def query(self, seen: torch.Tensor) -> Kept:
        """What is kept of instruction and query."""
        return self.run(self.words.prefix, self.rows(self.words.prefix, seen, len(seen)), 0)[1]

    def run(self, piece: Piece, rows: torch.Tensor, first: int, past: Kept | None = None) -> tuple[torch.Tensor, Kept]:
        """A piece that begins at `first`, after `past`."""
        return self.text(rows, piece.places[0][0] + first, piece.visible, past)

    def candidate(
        self, kept: Kept, owner: torch.Tensor, piece: Piece, seen: torch.Tensor, first: int
    ) -> tuple[Kept, torch.Tensor]:
        """What is kept of candidates alone, each on the query `owner` says, and their last rows, `[N, width]`."""
        past = [(keys[owner], values[owner]) for keys, values in kept]
        cut = self.words.prefix.length
        rows, after = self.run(piece, self.rows(piece, seen, len(seen)), first, past)
        return [(keys[:, :, cut:], values[:, :, cut:]) for keys, values in after], rows[:, -1]

    def answer(self, question: Question, parts: list[Kept], first: int) -> torch.Tensor:
        """Logits of the answers, `[N, answers]`, after what was kept of query and candidates."""
        layers = zip(*parts, strict=True)
        past = [tuple(torch.cat(part, dim=2) for part in zip(*layer, strict=True)) for layer in layers]
        rows, _ = self.run(question.suffix, self.rows(question.suffix, None, len(past[0][0])), first, past)
        return rows[:, -1] @ self.text.embed_tokens.weight[question.answers].T

    def pair(
        self, queries: torch.Tensor, firsts: torch.Tensor, seconds: torch.Tensor, which: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Margins of A over B, `[P]`, and the last rows of first and second candidates, `[A, width]`, `[B, width]`.

        `queries`, `firsts`, `seconds`: what the tower says, `[Q, tokens, width]`, `[A, ...]`, `[B, ...]`. `which`
        `[P, 3]`: query, first and second of each comparison; a candidate belongs to one query.
        """
        question, words = self.words.pair, self.words
        kept = self.query(queries)
        owners = [torch.zeros(len(part), dtype=torch.long) for part in (firsts, seconds)]
        for owner, column in zip(owners, (1, 2), strict=True):
            owner[which[:, column]] = which[:, 0]
        at = words.prefix.places[1]
        a, last_a = self.candidate(kept, owners[0], question.candidates[0], firsts, at)
        at += question.candidates[0].places[1]
        b, last_b = self.candidate(kept, owners[1], question.candidates[1], seconds, at)
        at += question.candidates[1].places[1]
        parts = [
            [(keys[rows], values[rows]) for keys, values in part]
            for part, rows in ((kept, which[:, 0]), (a, which[:, 1]), (b, which[:, 2]))
        ]
        logits = self.answer(question, parts, at)
        return logits[:, 0] - logits[:, 1], (last_a, last_b)

    def single(self, name: str, queries: torch.Tensor, candidates: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        """Logits of the answers to `yes_no` or `score`, `[C, answers]`, of candidates each on its query."""
        question, at = self.words.single[name], self.words.prefix.places[1]
        kept = self.query(queries)
        part, _ = self.candidate(kept, owner, question.candidates[0], candidates, at)
        mine = [(keys[owner], values[owner]) for keys, values in kept]
        return self.answer(question, [mine, part], at + question.candidates[0].places[1])

    def choice(self, queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """Logits of the answers `[Q, C]` to the question which of the candidates of a query, `[Q, C, tokens, width]`,
        shows its place."""
        question, at = self.words.list, self.words.prefix.places[1]
        owner, kept = torch.arange(len(queries)), self.query(queries)
        parts = [kept]
        for piece, seen in zip(question.candidates, candidates.transpose(0, 1), strict=False):
            parts.append(self.candidate(kept, owner, piece, seen, at)[0])
            at += piece.places[1]
        return self.answer(question, parts, at)[:, : candidates.shape[1]]

    def written(self, seen: torch.Tensor, question: str, answer: str) -> torch.Tensor:
        """Mean negative log-likelihood of an answer's tokens, for one picture `[tokens, width]`."""
        piece, told = self.words.written(question, answer)
        if piece.length > POSITIONS:
            raise ValueError(f"expected at most {POSITIONS} tokens, found {piece.length}")
        rows, _ = self.run(piece, self.rows(piece, seen[None], 1), 0)
        return functional.cross_entropy(rows[0, -told - 1 : -1] @ self.text.embed_tokens.weight.T, piece.tokens[-told:])

    def whole(self, tokens: np.ndarray, is_picture: np.ndarray, pictures: list[np.ndarray]) -> np.ndarray:
        """Logits of the vocabulary after a prompt in one call, candidates seeing each other: exports are held to it."""
        piece = Piece(torch.from_numpy(tokens), torch.from_numpy(is_picture), self.words.prefix.side)
        rows = self.text.embed_tokens(piece.tokens)
        rows[piece.is_picture] = self.connect(self.see(torch.from_numpy(np.concatenate(pictures)))).flatten(0, 1)
        return (self.run(piece, rows[None], 0)[0][0, -1] @ self.text.embed_tokens.weight.T).numpy()


def fitted(tower: dict[str, torch.Tensor], side: int, trained_at: int) -> dict[str, torch.Tensor]:
    """Weights of an encoder's tower for pictures of another size: distances that are new to it are looked at as the
    nearest that it knows."""
    known, new = (distances(Shape(rows=at, columns=at).grid)[1] for at in (trained_at, side))
    nearest = torch.tensor([int((known - distance).abs().argmin()) for distance in new])
    return {name: value[:, :, nearest] if name.endswith(".reach") else value for name, value in tower.items()}
