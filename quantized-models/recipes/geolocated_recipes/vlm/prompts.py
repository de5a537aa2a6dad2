"""What a comparator is asked, in the turns and picture marks of each architecture.

Defaults, which the manifest states and anyone may change there. No published prompt is claimed.
"""

from dataclasses import dataclass

PREFIX = "The query is a picture that a drone took from the air: {image}\n"
PAIR_FIRST, PAIR_SECOND = "Candidate A: {image}\n", "Candidate B: {image}\n"
CHOICE = " Answer A or B."
PAIR = "Which candidate shows the place of the query?" + CHOICE
CANDIDATE = "Candidate: {image}\n"
YES_NO = "Does the candidate show the place of the query? Answer Yes or No."
SCORE = "How well does the candidate match the place of the query, from 1 to 5? Answer with a number."
NEWLINE = "\n"
LISTED = "Candidate {answer}: {image}\n"
LIST = "Which candidate shows the place of the query? Answer with its letter."


@dataclass(frozen=True)
class Turns:
    """How an architecture marks turns and pictures."""

    start: str
    """Before the question."""
    end: str
    """Between question and answer."""
    placeholder: str
    before: str = ""
    after: str = ""
    space: str = ""
    """What an answer begins with."""
    stop: tuple[str, ...] = ()
    """Tokens that end an answer of several."""
    gap: str = ""
    """Between picture and text of a question that is answered with a text."""
    names_last: bool = False
    """Whether a candidate's name stands behind its picture, and nowhere else: its last token then is its answer."""

    @property
    def closing(self) -> str:
        """What ends the turn of an answer."""
        return "".join(self.stop[:1])

    @property
    def specials(self) -> list[str]:
        """Marks that are one token each."""
        marks = "".join((self.start, self.end, self.before, self.after, self.placeholder))
        return list(dict.fromkeys(f"<{mark.split('>')[0]}>" for mark in marks.split("<")[1:]))


TURNS = {
    "smolvlm": Turns(
        "<|im_start|>User:",
        "<end_of_utterance>\nAssistant:",
        "<image>",
        "<fake_token_around_image><global-img>",
        "<fake_token_around_image>",
        " ",
        ("<end_of_utterance>",),
    ),
    "llava_onevision": Turns(
        "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<image>", stop=("<|im_end|>",), gap="\n"
    ),
    "qwen2_vl": Turns(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
        "<|image_pad|>",
        "<|vision_start|>",
        "<|vision_end|>",
        stop=("<|im_end|>",),
    ),
    # The built-in comparator: a line ends an answer, and that byte's name in the vocabulary is this.
    "mini": Turns("", "\nAnswer:", "<image>", space=" ", stop=("Ċ",), gap="\n", names_last=True),
    "gemma3": Turns(
        "<bos><start_of_turn>user\n",
        "<end_of_turn>\n<start_of_turn>model\n",
        "<image_soft_token>",
        "\n\n<start_of_image>",
        "<end_of_image>\n\n",
        stop=("<end_of_turn>",),
    ),
}


def table(turns: Turns) -> dict:
    """The table `[prompt]` of a manifest."""

    def answers(*texts: str) -> list[str]:
        return [turns.space + text for text in texts]

    def named(text: str, name: str) -> str:
        return f"{CANDIDATE.removesuffix(NEWLINE)}{turns.space}{name}" if turns.names_last else text

    pair = PAIR.removesuffix(CHOICE) if turns.names_last else PAIR
    return {
        "prefix": turns.start + PREFIX,
        "pair": {
            "first": named(PAIR_FIRST, "A"),
            "second": named(PAIR_SECOND, "B"),
            "suffix": pair + turns.end,
            "answers": answers("A", "B"),
        },
        "yes_no": {"candidate": CANDIDATE, "suffix": YES_NO + turns.end, "answers": answers("Yes", "No")},
        "score": {
            "candidate": CANDIDATE,
            # Vocabularies that cut numbers into digits have no token for a digit after a space.
            "suffix": SCORE + turns.end + turns.space,
            "answers": ["1", "2", "3", "4", "5"],
            "values": [1, 2, 3, 4, 5],
        },
        "list": {"candidate": named(LISTED, "{answer}"), "suffix": LIST + turns.end, "answers": answers(*"ABCDEFGH")},
    }


def generate(turns: Turns, context: int) -> dict:
    """The table `[generate]` of a manifest: a question with one picture that is answered with a text."""
    return {
        "prompt": f"{turns.start}{{image}}{turns.gap}{{text}}{turns.end}",
        "stop": list(turns.stop),
        "context": context,
    }


def answers(prompt: dict) -> list[str]:
    """All answers of all questions, each once."""
    return list(
        dict.fromkeys(answer for part in prompt.values() if isinstance(part, dict) for answer in part["answers"])
    )


def texts(prompt: dict) -> list[str]:
    """All words that the questions hold."""
    parts = [part for part in prompt.values() if isinstance(part, dict)]
    found = [value for part in parts for value in part.values() if isinstance(value, str)]
    return [prompt["prefix"], *found, *answers(prompt)]
