"""Records and plan of fine-tuning: what needs no torch."""

import json
import math
from pathlib import Path

import pytest
from conftest import RECIPES, run_geolocate

import sft
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.sft import records
from geolocated_recipes.sft.plan import Plan

PICTURES = RECIPES / "pictures"
ROAD = {
    "conversations": [{"from": "human", "value": "<image>\nWhere?"}, {"from": "gpt", "value": "Here."}],
    "images": ["road.jpg"],
}


def write(folder: Path, content: object) -> Path:
    path = folder / "sft.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def turns(question: object, answer: object = "Here.", roles: tuple[str, str] = ("human", "gpt")) -> dict:
    values = zip(roles, (question, answer), strict=True)
    return {**ROAD, "conversations": [{"from": role, "value": value} for role, value in values]}


def test_the_settings_are_the_published_ones():
    told = sft.parser().parse_args(["train", "--base", "B", "--records", "R", "--images", "I", "--out", "O"])
    for plan in (Plan(), told):
        assert (plan.rank, plan.alpha, plan.rate, plan.epochs) == (16, 32, 2e-5, 3)
    plan, count = Plan(), 2700
    rates = [plan.rate_at(count, step) for step in range(plan.steps(count))]
    top = rates.index(max(rates))
    assert max(rates) == 2e-5 and len(rates) == math.ceil(3 * 2700 / 8)
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)
    # Half of the largest rate in the middle of the fall: a cosine.
    assert rates[(top + len(rates)) // 2] == pytest.approx(1e-5, rel=0.01) and rates[-1] < 1e-9


def test_every_record_is_seen_in_every_epoch():
    plan = Plan(epochs=3, batch=2, accumulate=2)
    seen = [row for step in range(plan.steps(7)) for row in plan.rows(7, step)]
    assert [sorted(seen[first : first + 7]) for first in (0, 7, 14)] == [list(range(7))] * 3
    assert seen[:7] != seen[7:14] and plan.rows(7, 2) == plan.rows(7, 2)


@pytest.mark.parametrize("changes", [{"rank": 0}, {"rate": -1.0}, {"rate": math.nan}, {"epochs": 0}, {"warm_up": 1.0}])
def test_settings_that_cannot_be_are_refused_by_their_option(changes):
    with pytest.raises(RecipeError, match=f"--{next(iter(changes)).replace('_', '-')}: expected"):
        Plan(**changes)


def test_a_record_is_read(tmp_path):
    (found,) = records.read(write(tmp_path, [turns("Look: <image>\nWhere?", " There. ")]), PICTURES)
    assert (found.before, found.after, found.answer) == ("Look: ", "Where?", " There. ")
    assert found.picture == PICTURES / "road.jpg"
    records.check_pictures([found])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"conversations"', "sft.json: expected a JSON file, found"),
        ("[" * 100_000, "sft.json: expected a JSON file, found"),
        ("\udcff", "sft.json: expected a JSON file, found"),
        ({"conversations": []}, "sft.json: expected a list of records, found dict"),
        ([], "sft.json: expected a list of records, found a list of 0"),
        ([ROAD, "road"], "record 1: expected an object, found 'road'"),
        ([{"images": ["road.jpg"]}], "record 0: conversations: expected two turns, found nothing"),
        (
            [{**ROAD, "conversations": ROAD["conversations"] * 2}],
            "expected two turns, found a list of 4",
        ),
        ([{**ROAD, "conversations": [1, 2]}], r"conversations\[0\]: expected an object, found int"),
        ([turns("<image>", roles=("user", "gpt"))], r"conversations\[0\].from: expected 'human', found 'user'"),
        ([turns("<image>", roles=("human", "human"))], r"conversations\[1\].from: expected 'gpt', found 'human'"),
        ([turns("<image>", answer="")], r"conversations\[1\].value: expected text, found ''"),
        ([turns("<image>", answer=["Here."])], r"conversations\[1\].value: expected text, found a list of 1"),
        ([turns("Where?")], r"conversations\[0\].value: expected the mark <image> once, found it 0 times"),
        ([turns("<image><image>")], "expected the mark <image> once, found it 2 times"),
        ([{**ROAD, "images": []}], "images: expected the name of one picture, found a list of 0"),
        ([{**ROAD, "images": "road.jpg"}], "images: expected the name of one picture, found 'road.jpg'"),
        ([{**ROAD, "images": ["../pictures/road.jpg"]}], "images: expected a file below"),
        ([{**ROAD, "images": [str(PICTURES / "road.jpg")]}], "images: expected a file below"),
        ([{**ROAD, "images": ["nowhere.jpg"]}], "record 0: images: expected a picture at .*nowhere.jpg, found none"),
        ([{**ROAD, "images": ["a\0b"]}], "images: expected a picture at"),
    ],
)
def test_records_that_cannot_be_used_are_refused_by_number_and_field(tmp_path, content, message):
    path = tmp_path / "sft.json"
    if content == "\udcff":
        path.write_bytes(b'["\xff"]')
    else:
        write(tmp_path, content)
    with pytest.raises(RecipeError, match=message):
        records.read(path, PICTURES)


def test_pictures_that_do_not_open_are_refused_by_record(tmp_path):
    whole = (PICTURES / "road.jpg").read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], (PICTURES / "street.png").read_bytes()[:60]):
        (tmp_path / "road.jpg").write_bytes(content)
        found = records.read(write(tmp_path, [ROAD]), tmp_path)
        with pytest.raises(RecipeError, match=r"record 0: images: expected a picture at .*road\.jpg, found"):
            records.check_pictures(found)


def test_what_the_tool_samples_is_read(world, tmp_path):
    flights, path = world / "flights", tmp_path / "sft.json"
    arguments = ("--poses", flights / "poses.csv", "--images", flights / "images", "--count", 3)
    run_geolocate("sample", *arguments, "--out", tmp_path / "chosen.csv", "--sharegpt", path)
    found = records.read(path, flights / "images")
    records.check_pictures(found)
    assert len(found) == 3 and all(record.before == "" and record.after for record in found)
    assert json.loads(found[0].answer).keys() == {"latitude", "longitude"}
