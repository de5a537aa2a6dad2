"""From records to what a model takes: tokens, pixels, and which tokens are the answer."""

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.sft import records
from geolocated_recipes.sft.records import Record
from geolocated_recipes.vlm import prompts
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.reference import pictures


@dataclass(frozen=True)
class Tokens:
    """The tokens of one record."""

    question: list[int]
    """With the marks of turns and picture; the answer follows."""
    answer: list[int]
    """With the mark that ends a turn, so that the model learns to stop."""


@dataclass(frozen=True)
class Batch:
    """Records side by side, filled up on the right."""

    inputs: dict[str, torch.Tensor]
    """What the model is called with; `input_ids` is `[records, tokens]`."""
    predicts: torch.Tensor
    """Where the next token is one of the answer, `[records, tokens]`."""
    answers: torch.Tensor
    """Those next tokens one after the other, `[answers' tokens]`."""


class Examples:
    """Records in the turns and picture marks of an architecture, pictures as the exported graphs take them."""

    def __init__(self, checkpoint: VlmCheckpoint, found: list[Record]):
        self.shape, self.preprocess = checkpoint.shape, checkpoint.preprocess()
        self.turns = prompts.TURNS[self.shape.architecture]
        self.tokenizer = Tokenizer.from_str(checkpoint.tokenizer())
        self.placeholder = self.tokenizer.token_to_id(self.turns.placeholder)
        if self.placeholder is None:
            raise RecipeError(f"{checkpoint.folder}: tokenizer.json: expected {self.turns.placeholder}, found none")
        self.records = found
        self.tokens = [self._tokens(record) for record in found]

    def batch(self, rows: list[int]) -> Batch:
        """The records of these numbers."""
        tokens = [self.tokens[row] for row in rows]
        long = max(len(one.question) + len(one.answer) for one in tokens)
        # Filled up with the mark that ends a turn, which is never taken for a picture's.
        ids = torch.full((len(rows), long), tokens[0].answer[-1])
        mask, predicts = (torch.zeros(len(rows), long, dtype=torch.long) for _ in range(2))
        for row, one in enumerate(tokens):
            end = len(one.question) + len(one.answer)
            ids[row, :end] = torch.tensor(one.question + one.answer)
            mask[row, :end] = 1
            predicts[row, len(one.question) - 1 : end - 1] = 1
        pixels = np.concatenate([self.preprocess.apply(records.picture(self.records[row])) for row in rows])
        seen = pictures(self.shape, pixels, (ids == self.placeholder).long())
        inputs = {"input_ids": ids, "attention_mask": mask, **seen}
        answers = torch.tensor([token for one in tokens for token in one.answer])
        return Batch(inputs, predicts.bool(), answers)

    def _tokens(self, record: Record) -> Tokens:
        turns = self.turns
        for mark in turns.specials:
            if any(mark in text for text in (record.before, record.after, record.answer)):
                raise RecipeError(f"{record.where}: conversations: expected no mark of the model, found {mark}")
        picture = turns.before + turns.placeholder * self.shape.image_tokens + turns.after
        question = self._encode(turns.start + record.before + picture + record.after + turns.end)
        answer = self._encode(turns.space + record.answer + turns.closing)
        count, most = len(question) + len(answer), self.shape.text.positions
        if count > most:
            raise RecipeError(f"{record.where}: expected at most {most} tokens with its picture, found {count}")
        return Tokens(question, answer)

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids
