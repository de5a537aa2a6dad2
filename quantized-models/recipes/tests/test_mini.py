"""The recipe of the built-in encoders, shortly: a few steps on a small part of the world, then the export."""

import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import RECIPES, run_mini

torch = pytest.importorskip("torch", reason="training needs requirements-reference.txt")

from geolocated_recipes import measure, pictures  # noqa: E402
from geolocated_recipes.errors import RecipeError  # noqa: E402
from geolocated_recipes.mini.comparisons import look  # noqa: E402
from geolocated_recipes.mini.contrast import Contrast  # noqa: E402
from geolocated_recipes.mini.export import Export, Request  # noqa: E402
from geolocated_recipes.mini.fronts import SIDE, Polar  # noqa: E402
from geolocated_recipes.mini.head_training import HeadPlan, HeadTraining  # noqa: E402
from geolocated_recipes.mini.muon import turned_upright  # noqa: E402
from geolocated_recipes.mini.pairs import Pairs, batch  # noqa: E402
from geolocated_recipes.mini.towers import Bend, Towers, shape  # noqa: E402
from geolocated_recipes.mini.training import Plan, Training, normalized  # noqa: E402
from geolocated_recipes.preprocess import Preprocess, open_picture  # noqa: E402


@pytest.mark.parametrize("view", ["nadir", "street"])
def test_a_run_trains_goes_on_after_a_stop_and_becomes_a_model_folder(world, tmp_path, view, monkeypatch):
    pairs, held_out = Pairs([world / "pairs"], view), Pairs([world / "held-out"], view)
    monkeypatch.setattr("geolocated_recipes.mini.run.KEEP_EVERY", 2)
    plan = Plan(view=view, steps=4, runs=1, length=8)

    def losses(folder: Path, steps: list[int]) -> list[float]:
        folder.mkdir(exist_ok=True)
        found = []
        for until in steps:
            training = Training(plan, pairs, held_out, folder)
            training.resume()
            while training.step < until:
                found.append(training.advance())
            training.keep()
        return found

    whole, stopped = losses(tmp_path / "whole", [4]), losses(tmp_path / "stopped", [2, 4])
    assert whole == pytest.approx(stopped, rel=1e-3)
    assert np.isfinite(whole).all() and len(set(whole)) == 4

    # A few steps tell nothing apart yet.
    monkeypatch.setattr("geolocated_recipes.folder.ALIKE_COSINE", 2.0)
    queries = world / ("flights" if view == "nadir" else "street") / "images"
    out = tmp_path / "made"
    found = [pictures.find([folder], 8) for folder in (world / "map/images", queries)]
    request = Request(tmp_path / "whole", "tiny", out, *found)
    report = Export(request).write()
    manifest = tomllib.loads((out / "model.toml").read_text())
    assert manifest["space"]["id"] == report["space"]
    for golden in manifest["golden"]:
        graph = manifest["graph"].get("query", manifest["graph"]) if golden["view"] == "query" else manifest["graph"]
        width = 2 * SIDE if golden["view"] == "query" else SIDE
        pixels = Preprocess(width, SIDE, "stretch", "bicubic", (0.5,) * 3, (0.5,) * 3)
        found = measure.embed(measure.session(out / graph["file"]), pixels.apply(open_picture(out / golden["image"])))
        assert found @ np.fromfile(out / golden["embedding"], dtype="<f4") > 0.99
    with pytest.raises(RecipeError, match="expected nothing there"):
        Export(request).write()


def test_a_run_begins_with_what_a_model_folder_computes(world, tmp_path):
    pairs = Pairs([world / "pairs"], "nadir")
    training = Training(Plan(view="nadir", steps=9, runs=1, length=8), pairs, pairs, tmp_path)
    folder = RECIPES.parent / "mini/siglip-mini"
    training.begin_with(folder)
    tower = training.averaged.reference.eval()
    pixels = normalized(torch.from_numpy(pairs.take(np.arange(8))[1]).permute(0, 3, 1, 2))
    # Unoptimized: products with widened weights are otherwise computed with 8-bit activations.
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    running = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    expected = np.array([measure.embed(running, one[None].numpy()) for one in pixels])
    with torch.inference_mode():
        found = tower(pixels).numpy()
    assert np.abs(found - expected).max() < 1e-3
    street = Training(Plan(view="street", steps=9, runs=1, length=8), pairs, pairs, tmp_path)
    street.begin_with(folder)
    kept = street.towers.query.blocks[0].mlp[0].weight
    assert torch.equal(kept, training.towers.reference.blocks[0].mlp[0].weight)
    with pytest.raises(RecipeError, match=r"model\.onnx: expected the graph"):
        training.begin_with(tmp_path)


def test_a_head_learns_while_the_tower_stays_and_goes_on_after_a_stop(world, tmp_path):
    pairs, held_out = Pairs([world / "pairs"], "nadir"), Pairs([world / "held-out"], "nadir")
    towers = Towers("nadir").eval()
    weights = towers.reference.state_dict()
    seen = [look(found, towers.reference, SIDE, tmp_path / name) for found, name in ((pairs, "a"), (held_out, "b"))]

    def run(folder: Path, steps: list[int]) -> tuple[list[float], HeadTraining]:
        folder.mkdir(exist_ok=True)
        losses = []
        for until in steps:
            plan = HeadPlan(steps=4, runs=1, length=8)
            training = HeadTraining(plan, pairs, seen[0], (held_out, seen[1]), folder)
            training.begin_with(weights)
            training.resume()
            while training.step < until:
                losses.append(training.advance())
            training.keep()
        return losses, training

    whole, training = run(tmp_path / "whole", [4])
    stopped, _ = run(tmp_path / "stopped", [2, 4])
    assert whole == pytest.approx(stopped, rel=1e-3) and whole[-1] < whole[0]
    kept = training.averaged.reference.state_dict()
    changed = {name for name, value in kept.items() if not torch.equal(value, weights[name])}
    heads = ("pool.", "project.", "centre.")
    assert all(name.startswith(heads) for name in changed) and {"pool.say.weight", "project.weight"} <= changed
    assert set(training.figures()["held_out_recall"]) == {"1", "5"}


def test_batches_before_are_negatives_too_but_for_what_overlaps(world):
    pairs = Pairs([world / "pairs"], "nadir")
    records = pairs.take(np.arange(16))[2]
    vectors = torch.nn.functional.normalize(torch.randn(16, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    loss = Contrast(pairs, 8, remembered=12)
    loss(vectors[:8], vectors[:8], records[:8])
    assert loss(vectors[:8], vectors[:8], records[:8]) < 0.1, "the same pairs again are no negatives of themselves"
    # Rows of the second run lie in another world.
    assert loss(vectors[8:], vectors[8:], records[8:]) > Contrast(pairs, 8)(vectors[8:], vectors[8:], records[8:])
    assert loss.written == 24 and np.isin(loss.records.numpy()[:, 0], records[:, 0]).all()


def test_too_few_pairs_and_missing_arrays_are_refused_by_name(world, tmp_path):
    common = ("--held-out", world / "held-out", "--out", tmp_path / "out", "--view", "nadir", "--steps", 9)
    done = run_mini("train", "--pairs", world / "pairs", *common, expected=1)
    assert "expected at least 64 pairs, found 16" in done.stderr
    done = run_mini("train", "--pairs", tmp_path / "nothing", *common, expected=1)
    assert str(tmp_path / "nothing" / "map.npy") in done.stderr


def test_a_run_of_another_plan_is_not_gone_on_with(world, tmp_path):
    found = Pairs([world / "pairs"], "nadir")
    Training(Plan(view="nadir", steps=9, runs=1, length=8), found, found, tmp_path).keep()
    with pytest.raises(RecipeError, match="'steps': 9"):
        Training(Plan(view="nadir", steps=8, runs=1, length=8), found, found, tmp_path).resume()


def test_look_alikes_show_none_of_each_others_ground(world, tmp_path):
    out = tmp_path / "alike.npy"
    encoder = RECIPES.parent / "mini/siglip-mini"
    run_mini("look-alikes", "--encoder", encoder, "--pairs", world / "pairs", "--size", 4, "--out", out)
    pairs, sets = Pairs([world / "pairs"], "nadir"), np.load(out)
    assert len(sets) > 0 and len(np.unique(sets)) == sets.size
    for rows in sets:
        # The first of a set is what the others are taken for.
        assert (pairs.known(pairs.take(rows)[2])[0, 1:] == -1).all()
    training = Training(Plan(view="nadir", steps=2, runs=1, length=8, clusters=1), pairs, pairs, tmp_path, sets)
    assert np.isfinite(training.advance())
    with pytest.raises(RecipeError, match="at least 99 sets of look-alikes, found"):
        Training(Plan(view="nadir", steps=2, runs=1, length=8, clusters=99), pairs, pairs, tmp_path, sets)


def test_what_is_known_of_a_batch(world):
    pairs = Pairs([world / "pairs"], "nadir")
    taken = batch(pairs, "nadir", np.arange(16), np.random.default_rng(1))
    assert taken.maps.shape == taken.views.shape == (16, 3, SIDE, SIDE)
    assert (taken.known.diagonal() == 1).all()
    # Rows of the second run lie in another world.
    assert (taken.known[:8, 8:] == -1).all()


def test_a_tile_is_bent_so_that_north_is_in_the_middle_and_near_is_below():
    tile = torch.zeros(1, 3, SIDE, SIDE)
    tile[:, 0, : SIDE // 4, SIDE // 2 - 8 : SIDE // 2 + 8] = 1
    tile[:, 1, SIDE // 2 - 8 : SIDE // 2 + 8, -SIDE // 4 :] = 1
    bent, polar, seen = Bend()(tile)[0], Polar(), shape("street")
    assert bent.shape == (3, polar.rows, polar.columns) == (3, seen.rows, seen.columns)
    north, east = (int(bent[channel, : polar.rows // 4].sum(0).argmax()) for channel in (0, 1))
    assert abs(north - SIDE) <= 12 and abs(east - SIDE * 3 // 2) <= 12
    assert bent[:, polar.rows // 2 + 1 :].sum() == 0


def test_steps_of_matrices_are_turned_upright():
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(1)) * torch.logspace(0, -2, 24)[:, None]
    for tall in (matrix, matrix.T):
        found = turned_upright(tall)
        sizes = torch.linalg.svdvals(found)
        assert found.shape == tall.shape and sizes.min() > 0.5 and sizes.max() < 1.3
        u, _, v = torch.linalg.svd(tall, full_matrices=False)
        assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0) > 0.97
