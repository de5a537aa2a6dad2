"""A small byte-level BPE vocabulary for models with random weights, as `tokenizer.json` of Hugging Face's tokenizers.

Every text can be written in it: all 256 bytes are tokens. Words of the prompts are built up by merges from the left.
"""

import re

# Bytes that byte-level vocabularies show as themselves; the others are shown as characters from 256 on.
SHOWN = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]


def alphabet() -> list[str]:
    """The character that stands for each byte, by its value."""
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in SHOWN else chr(next(hidden)) for byte in range(256)]


def tokenizer(texts: list[str], specials: list[str]) -> dict:
    """The content of `tokenizer.json`: `specials`, all bytes, and the words of `texts`."""
    letters = alphabet()
    vocabulary = {token: at for at, token in enumerate([*specials, *letters])}
    merges: list[list[str]] = []
    for word in dict.fromkeys(word for text in texts for word in re.findall(r" ?[A-Za-z]+", text)):
        parts = [letters[byte] for byte in word.encode()]
        while len(parts) > 1:
            known = next((at for at, pair in enumerate(zip(parts, parts[1:], strict=False)) if [*pair] in merges), None)
            at = known or 0
            if known is None:
                merges.append(parts[:2])
                vocabulary.setdefault("".join(parts[:2]), len(vocabulary))
            parts[at : at + 2] = ["".join(parts[at : at + 2])]
    added = [
        {
            "id": vocabulary[token],
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in specials
    ]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }
