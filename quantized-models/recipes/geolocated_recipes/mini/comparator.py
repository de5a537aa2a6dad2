"""The comparator: which of two tiles shows the place of a view. A tower, a connector, a small decoder, few words.

Candidates see the query and themselves, not each other, and the question sees all: what a candidate costs is spent
once, and a comparison costs the question alone.
"""

import json
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from geolocated_recipes.mini import places
from geolocated_recipes.mini.decoder import Decoder, Kept
from geolocated_recipes.mini.network import STRIDE, Encoder, Shape, distances
from geolocated_recipes.tower import Tower
from geolocated_recipes.vlm import prompts, vocabulary
from geolocated_recipes.vlm.shape import Rope, Text
from geolocated_recipes.vlm.shape import Shape as VlmShape

ARCHITECTURE = "mini"
LAYERS, GATED = 4, 512
POSITIONS = 1152
# Slow turns: where a token stands in its picture says little, what it shows says all.
THETA = 1e6


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
    """A part of a prompt: numbers of its tokens, and where its picture begins."""

    tokens: torch.Tensor
    image_at: int | None

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.tokens)


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
        pair, single = table["pair"], {name: table[name] for name in ("yes_no", "score")}
        self.pair = self._question([pair["first"], pair["second"]], pair)
        self.single = {name: self._question([part["candidate"]], part) for name, part in single.items()}

    def written(self, question: str, answer: str) -> tuple[Piece, int]:
        """A picture, a question and its answer, and how many tokens the answer has."""
        turns = prompts.TURNS[ARCHITECTURE]
        asked = self.piece(f"{turns.start}{{image}}\n{question}{turns.end}")
        told = self.piece(f"{turns.space}{answer}\n")
        return Piece(torch.cat([asked.tokens, told.tokens]), asked.image_at), told.length

    def piece(self, text: str) -> Piece:
        """A text with room for its picture."""
        text = text.replace("{image}", "<image>" * self.image_tokens)
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return Piece(torch.tensor(ids), ids.index(self.placeholder) if self.placeholder in ids else None)

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
        return torch.cat([rows[:, :at], self.connector["proj"](seen), rows[:, at + seen.shape[1] :]], dim=1)

    def query(self, seen: torch.Tensor) -> Kept:
        """What is kept of instruction and query."""
        return self.text(self.rows(self.words.prefix, seen, len(seen)), 0)[1]

    def candidate(self, kept: Kept, owner: torch.Tensor, piece: Piece, seen: torch.Tensor, first: int) -> Kept:
        """What is kept of candidates alone, each on the query `owner` says."""
        past = [(keys[owner], values[owner]) for keys, values in kept]
        cut = self.words.prefix.length
        after = self.text(self.rows(piece, seen, len(seen)), first, past)[1]
        return [(keys[:, :, cut:], values[:, :, cut:]) for keys, values in after]

    def answer(self, question: Question, parts: list[Kept], first: int) -> torch.Tensor:
        """Logits of the answers, `[N, answers]`, after what was kept of query and candidates."""
        layers = zip(*parts, strict=True)
        past = [tuple(torch.cat(part, dim=2) for part in zip(*layer, strict=True)) for layer in layers]
        rows, _ = self.text(self.rows(question.suffix, None, len(past[0][0])), first, past)
        return rows[:, -1] @ self.text.embed_tokens.weight[question.answers].T

    def pair(
        self, queries: torch.Tensor, firsts: torch.Tensor, seconds: torch.Tensor, which: torch.Tensor
    ) -> torch.Tensor:
        """Margins of A over B, `[P]`.

        `queries`, `firsts`, `seconds`: what the tower says, `[Q, tokens, width]`, `[A, ...]`, `[B, ...]`. `which`
        `[P, 3]`: query, first and second of each comparison; a candidate belongs to one query.
        """
        question, words = self.words.pair, self.words
        kept = self.query(queries)
        owners = [torch.zeros(len(part), dtype=torch.long) for part in (firsts, seconds)]
        for owner, column in zip(owners, (1, 2), strict=True):
            owner[which[:, column]] = which[:, 0]
        at = words.prefix.length
        a = self.candidate(kept, owners[0], question.candidates[0], firsts, at)
        at += question.candidates[0].length
        b = self.candidate(kept, owners[1], question.candidates[1], seconds, at)
        at += question.candidates[1].length
        parts = [
            [(keys[rows], values[rows]) for keys, values in part]
            for part, rows in ((kept, which[:, 0]), (a, which[:, 1]), (b, which[:, 2]))
        ]
        logits = self.answer(question, parts, at)
        return logits[:, 0] - logits[:, 1]

    def single(self, name: str, queries: torch.Tensor, candidates: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        """Logits of the answers to `yes_no` or `score`, `[C, answers]`, of candidates each on its query."""
        question, at = self.words.single[name], self.words.prefix.length
        kept = self.query(queries)
        part = self.candidate(kept, owner, question.candidates[0], candidates, at)
        mine = [(keys[owner], values[owner]) for keys, values in kept]
        return self.answer(question, [mine, part], at + question.candidates[0].length)

    def written(self, seen: torch.Tensor, question: str, answer: str) -> torch.Tensor:
        """Mean negative log-likelihood of an answer's tokens, for one picture `[tokens, width]`."""
        piece, told = self.words.written(question, answer)
        if piece.length > POSITIONS:
            raise ValueError(f"expected at most {POSITIONS} tokens, found {piece.length}")
        rows, _ = self.text(self.rows(piece, seen[None], 1), 0)
        return functional.cross_entropy(rows[0, -told - 1 : -1] @ self.text.embed_tokens.weight.T, piece.tokens[-told:])

    def whole(self, tokens: np.ndarray, is_picture: np.ndarray, pictures: list[np.ndarray]) -> np.ndarray:
        """Logits of the vocabulary after a prompt in one call, candidates seeing each other: exports are held to it."""
        rows = self.text.embed_tokens(torch.from_numpy(tokens))
        seen = self.see(torch.from_numpy(np.concatenate(pictures)))
        rows[torch.from_numpy(is_picture)] = self.connector["proj"](seen).flatten(0, 1)
        return (self.text(rows[None], 0)[0][0, -1] @ self.text.embed_tokens.weight.T).numpy()


def fitted(tower: dict[str, torch.Tensor], side: int, trained_at: int) -> dict[str, torch.Tensor]:
    """Weights of an encoder's tower for pictures of another size: distances that are new to it are looked at as the
    nearest that it knows."""
    known, new = (distances(Shape(rows=at, columns=at).grid)[1] for at in (trained_at, side))
    nearest = torch.tensor([int((known - distance).abs().argmin()) for distance in new])
    return {name: value[:, :, nearest] if name.endswith(".reach") else value for name, value in tower.items()}
