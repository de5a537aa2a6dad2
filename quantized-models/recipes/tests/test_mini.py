"""The recipe of the built-in encoders, shortly: a few steps on a small part of the world, then the export."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPES

torch = pytest.importorskip("torch", reason="training needs requirements-reference.txt")

from geolocated_recipes import measure, pictures  # noqa: E402
from geolocated_recipes.errors import RecipeError  # noqa: E402
from geolocated_recipes.mini.export import Export, Request  # noqa: E402
from geolocated_recipes.mini.fronts import SIDE, Polar  # noqa: E402
from geolocated_recipes.mini.pairs import Pairs, batch  # noqa: E402
from geolocated_recipes.mini.towers import Bend, shape  # noqa: E402
from geolocated_recipes.mini.training import Plan, Training  # noqa: E402
from geolocated_recipes.preprocess import Preprocess, open_picture  # noqa: E402

GEOLOCATE = Path(os.environ.get("GEOLOCATE", RECIPES.parents[1] / "target/release/geolocate"))


def run(*command: object, expected: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    return done


def mini(*arguments: object, expected: int = 0) -> subprocess.CompletedProcess:
    return run(sys.executable, RECIPES / "mini.py", *arguments, expected=expected)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Pairs, held-out pairs and pictures of the world, all of them few."""
    assert GEOLOCATE.is_file(), f"expected the tool at {GEOLOCATE} (make build, or GEOLOCATE), found none"
    root = tmp_path_factory.mktemp("world")
    for name, seeds in (("pairs", "0..3"), ("held-out", "900..901")):
        options = ("--street", "--px", SIDE, "--count", 16, "--group", 8)
        run(GEOLOCATE, "world", "pairs", "--seeds", seeds, *options, "--out", root / name)
    run(GEOLOCATE, "world", "tiles", "--seed", 7, "--area-km2", 0.05, "--out", root / "map")
    run(GEOLOCATE, "world", "street", "--seed", 7, "--views", 8, "--out", root / "street")
    run(GEOLOCATE, "world", "fly", "--seed", 7, "--flights", 2, "--frames", 4, "--out", root / "flights")
    return root


@pytest.mark.parametrize("view", ["nadir", "street"])
def test_a_run_trains_goes_on_after_a_stop_and_becomes_a_model_folder(world, tmp_path, view, monkeypatch):
    pairs, held_out = Pairs([world / "pairs"], view), Pairs([world / "held-out"], view)
    monkeypatch.setattr("geolocated_recipes.mini.training.KEEP_EVERY", 2)
    plan = Plan(view=view, steps=4, runs=1, length=8)

    def losses(folder: Path, steps: list[int]) -> list[float]:
        folder.mkdir(exist_ok=True)
        found = []
        for until in steps:
            training = Training(plan, pairs, held_out, folder)
            training.resume()
            while training.step < until:
                found.append(training._step())
            training._keep()
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


def test_too_few_pairs_and_missing_arrays_are_refused_by_name(world, tmp_path):
    common = ("--held-out", world / "held-out", "--out", tmp_path / "out", "--view", "nadir", "--steps", 9)
    done = mini("train", "--pairs", world / "pairs", *common, expected=1)
    assert "expected at least 64 pairs, found 16" in done.stderr
    done = mini("train", "--pairs", tmp_path / "nothing", *common, expected=1)
    assert str(tmp_path / "nothing" / "map.npy") in done.stderr


def test_a_run_of_another_plan_is_not_gone_on_with(world, tmp_path):
    found = Pairs([world / "pairs"], "nadir")
    Training(Plan(view="nadir", steps=9, runs=1, length=8), found, found, tmp_path)._keep()
    with pytest.raises(RecipeError, match="'steps': 9"):
        Training(Plan(view="nadir", steps=8, runs=1, length=8), found, found, tmp_path).resume()


def test_what_is_known_of_a_batch(world):
    pairs = Pairs([world / "pairs"], "nadir")
    taken = batch(pairs, "nadir", np.array([0, 8]), 8, np.random.default_rng(1))
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
