"""Questions about pictures and their answers, in ShareGPT's form, as `geolocate sample --sharegpt` writes them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import open_picture

MARK = "<image>"
ROLES = ("human", "gpt")


@dataclass(frozen=True)
class Record:
    """One picture, what is asked about it, and what is to be answered."""

    where: str
    """File and number, for errors."""
    before: str
    """The question's text before the picture."""
    after: str
    """That after the picture."""
    answer: str
    picture: Path


def read(path: Path, images: Path) -> list[Record]:
    """All records of a file, in its order; `images` is the folder that pictures are named in."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: expected a JSON file, found {error}") from error
    if not isinstance(content, list) or not content:
        raise RecipeError(f"{path}: expected a list of records, found {_kind(content)}")
    return [_record(f"{path}: record {number}", entry, images) for number, entry in enumerate(content)]


def digest(records: list[Record], images: Path) -> str:
    """SHA-256 over all texts and the names of the pictures, 64 hexadecimal digits."""
    told = [(one.before, one.after, one.answer, one.picture.relative_to(images).as_posix()) for one in records]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def check_pictures(records: list[Record]) -> None:
    """Decodes every picture once: a bad one is found now, not after hours."""
    for record in records:
        picture(record)


def picture(record: Record) -> Image.Image:
    """The picture, upright."""
    try:
        return open_picture(record.picture)
    # Pillow raises these for files that are cut, hostile, or no pictures at all.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        found = f"expected a picture at {record.picture}, found {error}"
        raise RecipeError(f"{record.where}: images: {found}") from error


def _record(where: str, entry: object, images: Path) -> Record:
    if not isinstance(entry, dict):
        raise RecipeError(f"{where}: expected an object, found {_kind(entry)}")
    question, answer = _turns(where, entry.get("conversations"))
    if question.count(MARK) != 1:
        found = question.count(MARK)
        raise RecipeError(f"{where}: conversations[0].value: expected the mark {MARK} once, found it {found} times")
    before, after = question.split(MARK)
    # The line break after a mark is ShareGPT's; the architectures have their own ways to set pictures apart.
    return Record(where, before, after.removeprefix("\n"), answer, _picture(where, entry.get("images"), images))


def _turns(where: str, turns: object) -> tuple[str, str]:
    if not isinstance(turns, list) or len(turns) != len(ROLES):
        raise RecipeError(f"{where}: conversations: expected two turns, found {_kind(turns)}")
    texts = []
    for number, (turn, role) in enumerate(zip(turns, ROLES, strict=True)):
        at = f"{where}: conversations[{number}]"
        if not isinstance(turn, dict):
            raise RecipeError(f"{at}: expected an object, found {_kind(turn)}")
        if turn.get("from") != role:
            raise RecipeError(f"{at}.from: expected {role!r}, found {turn.get('from')!r}")
        text = turn.get("value")
        if not isinstance(text, str) or not text.strip():
            raise RecipeError(f"{at}.value: expected text, found {_kind(text)}")
        texts.append(text)
    return texts[0], texts[1]


def _picture(where: str, names: object, images: Path) -> Path:
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise RecipeError(f"{where}: images: expected the name of one picture, found {_kind(names)}")
    name = PurePosixPath(names[0])
    if name.is_absolute() or ".." in name.parts:
        raise RecipeError(f"{where}: images: expected a file below {images}, found {names[0]!r}")
    if not (images / name).is_file():
        raise RecipeError(f"{where}: images: expected a picture at {images / name}, found none")
    return images / name


def _kind(value: object) -> str:
    """What a value is, in words short enough for an error."""
    if isinstance(value, str):
        return f"{value[:40]!r}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "nothing" if value is None else type(value).__name__
