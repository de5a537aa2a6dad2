"""Comparators against transformers, where it is installed (requirements-reference.txt)."""

import numpy as np
import pytest
from conftest import RECIPES, run_comparator

from geolocated_recipes import reference
from geolocated_recipes.preprocess import open_picture
from geolocated_recipes.vlm import preprocess
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.reference import Reference
from geolocated_recipes.vlm.runner import Runner, joined

pytestmark = pytest.mark.skipif(not reference.is_installed(), reason="transformers or torch is not installed")

SIDES = {"narrow-qwen2-vl": 56}
SHAPES = ["narrow-smolvlm", "narrow-idefics3", "narrow-llava-onevision", "narrow-qwen2-vl", "narrow-gemma-3"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["grouped", "plain"])
def test_logits_are_those_of_transformers(tmp_path, shape, form):
    if (shape, form) == ("narrow-gemma-3", "grouped"):
        pytest.skip("Gemma 3 is plain")
    run_comparator("random", "--shape", shape, "--out", tmp_path / shape)
    side = SIDES.get(shape)
    arguments = ["--all-rows"] + (["--side", side] if side else []) + (["--plain"] if form == "plain" else [])
    run_comparator(
        "export", "--from", tmp_path / shape, "--out", tmp_path, "--variants", "fp32", "--no-reference", *arguments
    )
    (folder,) = tmp_path.glob(f"{shape}-*")
    running = Runner(folder)
    truth = Reference(VlmCheckpoint(tmp_path / shape, side))
    assert not truth.missing
    drawn = np.random.default_rng(0)
    for _ in range(3):
        width = running.manifest["preprocess"]["width"]
        pixels = [drawn.uniform(-1, 1, (1, 3, width, width)).astype(np.float32) for _ in range(3)]
        pieces = running.pair_pieces(*(running.see(picture) for picture in pixels))
        whole = joined(pieces)
        expected = truth.logits(whole.tokens, whole.is_picture, pixels)
        found, _ = running.run(whole)
        assert np.abs(found - expected).max() < 1e-4
        state = None
        for piece in pieces:
            found, state = running.run(piece, state)
        assert np.abs(found - expected).max() < 1e-4


def test_pictures_are_prepared_as_by_the_processor_without_tiles(tmp_path):
    from transformers import AutoImageProcessor

    run_comparator("random", "--shape", "narrow-smolvlm", "--out", tmp_path / "model")
    ours = preprocess.read(tmp_path / "model", VlmCheckpoint(tmp_path / "model").shape)
    theirs = AutoImageProcessor.from_pretrained(tmp_path / "model", backend="pil", do_image_splitting=False)
    for path in sorted((RECIPES / "pictures").glob("*.[jp][pn]g")):
        image = open_picture(path)
        # The processor fits a picture into `size` before it is made square: two steps of which ours leaves out one.
        small = image.resize((32, 32))
        expected = np.asarray(theirs(images=small, size={"longest_edge": 32}, return_tensors="np")["pixel_values"])
        assert np.abs(ours.apply(small) - expected.reshape(1, 3, 32, 32)).max() < 1e-5
