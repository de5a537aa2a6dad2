"""The recipe of the built-in comparator, shortly: a few steps, then the export, which must compute what torch does."""

from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPES

torch = pytest.importorskip("torch", reason="training needs requirements-reference.txt")

from geolocated_recipes import pictures  # noqa: E402
from geolocated_recipes.errors import RecipeError  # noqa: E402
from geolocated_recipes.folder import Identity  # noqa: E402
from geolocated_recipes.mini import lookalikes  # noqa: E402
from geolocated_recipes.mini.comparator import fitted  # noqa: E402
from geolocated_recipes.mini.comparator_checkpoint import ComparatorCheckpoint  # noqa: E402
from geolocated_recipes.mini.comparator_training import ComparatorPlan, ComparatorTraining  # noqa: E402
from geolocated_recipes.mini.comparisons import look  # noqa: E402
from geolocated_recipes.mini.network import Encoder, Shape  # noqa: E402
from geolocated_recipes.mini.pairs import Pairs  # noqa: E402
from geolocated_recipes.mini.run import CHECKPOINT  # noqa: E402
from geolocated_recipes.mini.training import tower_of  # noqa: E402
from geolocated_recipes.preprocess import open_picture  # noqa: E402
from geolocated_recipes.vlm.export import Export, Request  # noqa: E402
from geolocated_recipes.vlm.runner import Runner  # noqa: E402

ENCODER = RECIPES.parent / "mini/siglip-mini"


SIZE = 64


@pytest.fixture(scope="module")
def alike(world) -> tuple[Pairs, np.ndarray, Encoder]:
    """Pairs, sets of places that are taken for alike, and a tower for small pictures."""
    pairs = Pairs([world / "pairs"], "nadir")
    vectors = torch.nn.functional.normalize(torch.randn(2, len(pairs), 8, generator=torch.Generator().manual_seed(1)))
    sets = lookalikes.sets(*vectors, np.concatenate(pairs.records), size=4, seed=1)
    tower = Encoder(Shape(rows=SIZE, columns=SIZE))
    tower.load_state_dict(fitted(tower_of(ENCODER, pairs), SIZE, 128))
    return pairs, sets, tower.eval()


def train(alike: tuple[Pairs, np.ndarray, Encoder], out: Path, until: list[int]) -> dict:
    """A training that is stopped after so many steps, the last of which is that of the plan."""
    pairs, sets, tower = alike
    seen = look(pairs, sets, tower, SIZE, out / "seen")
    for last in until:
        training = ComparatorTraining(ComparatorPlan(steps=until[-1], side=SIZE, sets=1, wrong=1), seen, seen, out)
        training.begin_with(tower)
        training.resume()
        while training.step < last:
            assert np.isfinite(training.advance())
        training.keep()
    assert set(training.figures()["held_out"]) == {"comparisons", "right", "right_of_both", "same"}
    return torch.load(out / CHECKPOINT, weights_only=True)


def test_a_comparator_trains_goes_on_after_a_stop_and_computes_the_same_as_graphs(world, alike, tmp_path, monkeypatch):
    whole = train(alike, tmp_path / "whole", [6])
    stopped = train(alike, tmp_path / "stopped", [3, 6])
    for name, value in whole["averaged"].items():
        assert torch.allclose(value, stopped["averaged"][name], atol=1e-4), name

    checkpoint = ComparatorCheckpoint(tmp_path / "whole")
    shown = [*pictures.find([world / "flights/images"], 1), *pictures.find([world / "map/images"], 2)]
    request = Request(
        checkpoint=checkpoint,
        identity=Identity("tiny", "CC0-1.0", "a test"),
        out=tmp_path / "made",
        variants=["fp32"],
        form="plain",
        golden_pictures=shown,
        blocks_independent=True,
        is_named_whole=True,
    )
    monkeypatch.setattr("geolocated_recipes.vlm.export.FP32_TOLERANCE", 0.0)
    report = Export(request).run()
    assert report["pieces_as_whole"] and report["reference"]["most_difference"] < 1e-4
    running = Runner(tmp_path / "made/tiny")
    pre, comparator = checkpoint.preprocess(), checkpoint.comparator
    pixels = [pre.apply(open_picture(path)) for path in shown]
    found = running.pair(running.pair_pieces(*(running.see(one) for one in pixels)))
    with torch.inference_mode():
        query, first, second = (comparator.see(torch.from_numpy(one)) for one in pixels)
        expected = comparator.pair(query, first, second, torch.tensor([[0, 0, 0]]))
        single = comparator.single("yes_no", query, first, torch.tensor([0]))
    assert found == pytest.approx(float(expected), abs=1e-4)
    assert single.shape == (1, 2)


def test_too_few_sets_and_missing_checkpoints_are_refused_by_name(alike, tmp_path):
    pairs, sets, tower = alike
    seen = look(pairs, sets[:1], tower, SIZE, tmp_path)
    with pytest.raises(RecipeError, match="expected at least 3 sets of look-alikes, found 1"):
        ComparatorTraining(ComparatorPlan(steps=9, side=SIZE), seen, seen, tmp_path)
    with pytest.raises(RecipeError, match=r"checkpoint\.pt: expected the checkpoint"):
        ComparatorCheckpoint(tmp_path)
