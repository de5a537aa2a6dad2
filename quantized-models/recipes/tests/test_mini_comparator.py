"""The recipe of the built-in comparator, shortly: a few steps, then the export, which must compute what torch does."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPES

torch = pytest.importorskip("torch", reason="training needs requirements-reference.txt")

from geolocated_recipes import pictures  # noqa: E402
from geolocated_recipes.errors import RecipeError  # noqa: E402
from geolocated_recipes.folder import Identity  # noqa: E402
from geolocated_recipes.mini import places  # noqa: E402
from geolocated_recipes.mini.comparator import Comparator, fitted  # noqa: E402
from geolocated_recipes.mini.comparator_checkpoint import ComparatorCheckpoint  # noqa: E402
from geolocated_recipes.mini.comparator_training import ComparatorPlan, ComparatorTraining  # noqa: E402
from geolocated_recipes.mini.comparisons import asked, look, told  # noqa: E402
from geolocated_recipes.mini.network import Encoder, Shape  # noqa: E402
from geolocated_recipes.mini.pairs import MAP_X, Pairs  # noqa: E402
from geolocated_recipes.mini.run import CHECKPOINT  # noqa: E402
from geolocated_recipes.mini.training import tower_of  # noqa: E402
from geolocated_recipes.preprocess import open_picture  # noqa: E402
from geolocated_recipes.vlm.export import Export, Request  # noqa: E402
from geolocated_recipes.vlm.runner import Runner  # noqa: E402

ENCODER = RECIPES.parent / "mini/siglip-mini"


SIZE = 64


@pytest.fixture(scope="module")
def shown(world) -> tuple[Pairs, Encoder]:
    """Pairs, and a tower for small pictures."""
    pairs = Pairs([world / "pairs"], "nadir")
    tower = Encoder(Shape(rows=SIZE, columns=SIZE))
    tower.load_state_dict(fitted(tower_of(ENCODER, pairs), SIZE, 128))
    return pairs, tower.eval()


def train(shown: tuple[Pairs, Encoder], out: Path, until: list[int]) -> dict:
    """A training that is stopped after so many steps, the last of which is that of the plan."""
    pairs, tower = shown
    for last in until:
        seen = look(pairs, tower, SIZE, out / "seen", 4)
        plan = ComparatorPlan(steps=until[-1], side=SIZE, queries=4, wrong=1, told=2)
        training = ComparatorTraining(plan, seen, seen, out)
        training.begin_with(tower)
        training.resume()
        while training.step < last:
            assert np.isfinite(training.advance())
        training.keep()
    assert set(training.figures()["held_out"]) == {"comparisons", "right", "right_of_both", "same"}
    return torch.load(out / CHECKPOINT, weights_only=True)


def test_a_comparator_trains_goes_on_after_a_stop_and_computes_the_same_as_graphs(world, shown, tmp_path, monkeypatch):
    whole = train(shown, tmp_path / "whole", [6])
    stopped = train(shown, tmp_path / "stopped", [3, 6])
    for name, value in whole["averaged"].items():
        assert torch.allclose(value, stopped["averaged"][name], atol=1e-4), name

    checkpoint = ComparatorCheckpoint(tmp_path / "whole")
    asked = [*pictures.find([world / "flights/images"], 1), *pictures.find([world / "map/images"], 2)]
    request = Request(
        checkpoint=checkpoint,
        identity=Identity("tiny", "CC0-1.0", "a test"),
        out=tmp_path / "made",
        variants=["fp32"],
        form="plain",
        golden_pictures=asked,
        blocks_independent=True,
        is_named_whole=True,
    )
    monkeypatch.setattr("geolocated_recipes.vlm.export.FP32_TOLERANCE", 0.0)
    report = Export(request).run()
    assert report["pieces_as_whole"] and report["reference"]["most_difference"] < 1e-4
    running = Runner(tmp_path / "made/tiny")
    pre, comparator = checkpoint.preprocess(), checkpoint.comparator
    pixels = [pre.apply(open_picture(path)) for path in asked]
    found = running.pair(running.pair_pieces(*(running.see(one) for one in pixels)))
    with torch.inference_mode():
        query, first, second = (comparator.see(torch.from_numpy(one)) for one in pixels)
        expected, _ = comparator.pair(query, first, second, torch.tensor([[0, 0, 0]]))
        single = comparator.single("yes_no", query, first, torch.tensor([0]))
    assert found == pytest.approx(float(expected), abs=1e-4)
    assert single.shape == (1, 2)


def test_views_are_asked_about_their_own_tile_and_others_that_show_none_of_its_ground(shown, tmp_path):
    pairs, tower = shown
    seen = look(pairs, tower, SIZE, tmp_path, 4)
    taken = asked(seen, np.arange(8), 3, np.random.default_rng(1))
    assert taken.candidates.shape[:2] == (8, 4)
    assert (taken.overlap[:, 0] > 0.5).all() and not taken.overlap[:, 1:].any()
    assert torch.equal(taken.candidates[:, 0], torch.from_numpy(np.array(seen.maps[:8], dtype=np.float32)))
    known = pairs.known(seen.records)
    assert all((known[row, seen.alike[row]] == -1).all() for row in range(8))


def test_questions_about_places_hold_the_places_of_the_tiles_most_alike(shown, tmp_path):
    pairs, tower = shown
    seen = look(pairs, tower, SIZE, tmp_path, 4)
    for _, question, answer in told(seen, np.arange(8), np.random.default_rng(1)):
        place = json.loads(answer)
        lists = [json.loads(line) for line in question.splitlines() if line.startswith("[")]
        assert len(lists) in (0, 1, 2)
        for lat, lon in (tile for tiles in lists for tile in tiles):
            # A region has 600 m.
            assert abs(lat - place["latitude"]) < 0.01 and abs(lon - place["longitude"]) < 0.02
    records = seen.records[:8].copy()
    text, answer = places.record(records, np.arange(8.0), 3, (2, 1), np.random.default_rng(2))
    near, far = (json.loads(line) for line in text.splitlines() if line.startswith("["))
    assert len(near) == 2 and len(far) == 1
    north = (records[7, MAP_X + 1] - records[0, MAP_X + 1]) / places.DEGREE_M
    assert near[0][0] - far[0][0] == pytest.approx(north, abs=2e-5)


def test_rows_of_the_decoder_begin_around_zero_and_spread(shown, tmp_path):
    pairs, tower = shown
    seen = look(pairs, tower, SIZE, tmp_path, 4)
    training = ComparatorTraining(ComparatorPlan(steps=9, side=SIZE, queries=8), seen, seen, tmp_path)
    training.begin_with(tower)
    with torch.inference_mode():
        rows = training.comparator.connect(torch.from_numpy(np.array(seen.maps, dtype=np.float32)))
    assert float(rows.flatten(0, 1).mean(0).abs().max()) < 0.5 and 0.5 < float(rows.std()) < 1.5


def test_tokens_see_what_stands_before_them_but_not_their_own_picture(shown):
    piece = Comparator(SIZE).words.pair.candidates[0]
    at, end = piece.image_at, piece.image_at + piece.side**2
    assert piece.visible[at + 1, :at].all() and not piece.visible[at + 1 : end, at:end].any()
    assert piece.visible[end:, :end].all() and piece.visible[:at, :at].equal(
        torch.ones(at, at, dtype=torch.bool).tril()
    )
    assert (
        piece.places[0][0, at:end].unique().tolist() == [at]
        and piece.places[1] == piece.length - (end - at) + piece.side
    )


def test_too_few_pairs_and_missing_checkpoints_are_refused_by_name(shown, tmp_path):
    pairs, tower = shown
    seen = look(pairs, tower, SIZE, tmp_path, 4)
    with pytest.raises(RecipeError, match="expected at least 24 pairs, found 16"):
        ComparatorTraining(ComparatorPlan(steps=9, side=SIZE), seen, seen, tmp_path)
    with pytest.raises(RecipeError, match=r"checkpoint\.pt: expected the checkpoint"):
        ComparatorCheckpoint(tmp_path)
