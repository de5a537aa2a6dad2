"""A comparator on ONNX Runtime, as the daemon runs it: prefix | first | second | suffix, each on the keys and values of
those before it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from geolocated_recipes import measure
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.vlm.positions import places


@dataclass(frozen=True)
class Piece:
    """A part of a prompt."""

    tokens: np.ndarray
    """Their numbers, `[tokens]`."""
    rows: np.ndarray
    """Their embeddings, `[1, tokens, width]`."""
    is_picture: np.ndarray
    """Which of them stand for a picture, `[tokens]`."""


def joined(pieces: list[Piece]) -> Piece:
    """Several pieces as one."""
    return Piece(
        np.concatenate([piece.tokens for piece in pieces]),
        np.concatenate([piece.rows for piece in pieces], axis=1),
        np.concatenate([piece.is_picture for piece in pieces]),
    )


@dataclass(frozen=True)
class State:
    """What was run so far: keys and values in the order of layers, key before value, and the next position."""

    kept: list
    position: int = 0


class Runner:
    """The model of one folder."""

    def __init__(self, folder: Path, threads: int = 1):
        self.folder = folder
        with (folder / "model.toml").open("rb") as file:
            self.manifest = tomllib.load(file)
        graphs = self.manifest["graphs"]
        self.tokenizer = Tokenizer.from_file(str(folder / self.manifest["tokenizer"]["file"]))
        self.vision, self.embedding, self.decoder = (
            measure.session(folder / graphs[name]["file"], threads)
            for name in ("vision_encoder", "embed_tokens", "decoder")
        )
        self.graph = decoder = graphs["decoder"]
        pairs = [(layer, part) for layer in range(decoder["layers"]) for part in ("key", "value")]
        self.past = [decoder[f"past_{part}"].replace("{layer}", str(layer)) for layer, part in pairs]
        self.present = [decoder[f"present_{part}"].replace("{layer}", str(layer)) for layer, part in pairs]
        self.start = State([np.zeros((1, decoder["heads"], 0, decoder["head_size"]), np.float32) for _ in pairs])
        self.columns = {token: at for at, token in enumerate(decoder.get("logits_rows", []))}
        self.placeholder = self.tokenizer.token_to_id(self.manifest["image"]["placeholder"])

    def tokens(self, text: str) -> list[int]:
        """Token numbers of a text, nothing added."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def answer(self, text: str) -> int:
        """The column of the logits that an answer has."""
        tokens = self.tokens(text)
        if len(tokens) != 1:
            raise RecipeError(f"{self.folder}: answer {text!r}: expected one token, found {len(tokens)}")
        return self.columns[tokens[0]] if self.columns else tokens[0]

    def see(self, pixels: np.ndarray) -> np.ndarray:
        """A picture as tokens, `[tokens, width]`."""
        graph, image = self.manifest["graphs"]["vision_encoder"], self.manifest["image"]
        (entry,) = graph["inputs"]
        found = self.vision.run([graph["output"]], {entry["name"]: pixels.reshape(entry["shape"])})[0]
        return found.reshape(image["tokens"], image["width"])

    def embed(self, text: str, picture: np.ndarray | None = None) -> Piece:
        """A piece of the prompt; `{image}` in it is `picture`."""
        image, graph = self.manifest["image"], self.manifest["graphs"]["embed_tokens"]
        inside = image.get("before", "") + image["placeholder"] * image["tokens"] + image.get("after", "")
        tokens = np.array(self.tokens(text.replace("{image}", inside)), dtype=np.int64)
        rows = self.embedding.run([graph["output"]], {graph["input"]: tokens[np.newaxis]})[0]
        is_picture = tokens == self.placeholder
        if picture is not None:
            rows[0, is_picture] = picture
        return Piece(tokens, rows, is_picture)

    def run(self, piece: Piece, state: State | None = None) -> tuple[np.ndarray, State]:
        """Logits of the last position, and the state after the piece."""
        state = state or self.start
        feed, position = self.feed(piece, state)
        logits, *kept = self.decoder.run([self.graph["logits"], *self.present], feed)
        return logits[0, -1], State(kept, position)

    def feed(self, piece: Piece, state: State) -> tuple[dict, int]:
        """What the decoder is given, and the position after it."""
        positions, position = self.positions(piece, state.position)
        feed = {self.graph["embeddings"]: piece.rows, **dict(zip(self.past, state.kept, strict=True))}
        if name := self.graph.get("position_ids"):
            feed[name] = positions
        return feed, position

    def positions(self, piece: Piece, first: int) -> tuple[np.ndarray, int]:
        """Positions of a piece, `[1, tokens]` or `[3, 1, tokens]`, and the position after it."""
        count = len(piece.tokens)
        if self.graph.get("positions", "1d") == "1d":
            return np.arange(first, first + count, dtype=np.int64)[np.newaxis], first + count
        found, after = places(piece.is_picture, *self.manifest["image"]["grid"])
        return (found + first)[:, np.newaxis], first + after

    def pair_pieces(self, query: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[Piece]:
        """The four pieces of a comparison: prefix, first, second, suffix."""
        prompt = self.manifest["prompt"]
        pair = prompt["pair"]
        return [
            self.embed(prompt["prefix"], query),
            self.embed(pair["first"], first),
            self.embed(pair["second"], second),
            self.embed(pair["suffix"]),
        ]

    def pair(self, pieces: list[Piece], prefix: State | None = None) -> float:
        """Logit of the first answer less that of the second. `prefix`: the state after the first piece, if known."""
        state = prefix or self.run(pieces[0])[1]
        if self.manifest.get("blocks_independent", False):
            logits, _ = self._independent(pieces, state)
        else:
            for piece in pieces[1:]:
                logits, state = self.run(piece, state)
        return self.margin(logits, "pair")

    def margin(self, logits: np.ndarray, question: str) -> float:
        """Logit of the first of two answers less that of the second."""
        first, second = (self.answer(text) for text in self.manifest["prompt"][question]["answers"])
        return float(logits[first] - logits[second])

    def _independent(self, pieces: list[Piece], before: State) -> tuple[np.ndarray, State]:
        """Each candidate sees the prefix and itself; the suffix sees all."""
        prefix, first, second, suffix = pieces
        _, with_first = self.run(first, before)
        _, with_second = self.run(second, State(before.kept, with_first.position))
        cut = len(prefix.tokens)
        kept = [
            np.concatenate([one, other[:, :, cut:]], axis=2)
            for one, other in zip(with_first.kept, with_second.kept, strict=True)
        ]
        return self.run(suffix, State(kept, with_second.position))
