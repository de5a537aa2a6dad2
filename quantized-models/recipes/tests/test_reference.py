"""Against transformers, where it is installed (requirements-reference.txt)."""

import json

import numpy as np
import pytest
from conftest import RECIPES, run

from geolocated_recipes import reference
from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.preprocess import open_picture

pytestmark = pytest.mark.skipif(not reference.is_installed(), reason="transformers or torch is not installed")


def whole_models(root):
    """Models of both towers, as transformers itself saves them."""
    import transformers
    from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    text = {**sizes, "vocab_size": 100}
    for name, model, processor in (
        (
            "siglip",
            SiglipModel(SiglipConfig(vision_config={**sizes, "image_size": 64}, text_config=text)),
            transformers.SiglipImageProcessor(size={"height": 64, "width": 64}),
        ),
        (
            "clip",
            CLIPModel(
                CLIPConfig(
                    vision_config={**sizes, "image_size": 64, "patch_size": 16, "projection_dim": 20},
                    text_config=text,
                    projection_dim=20,
                )
            ),
            transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}),
        ),
    ):
        model.save_pretrained(root / name)
        processor.save_pretrained(root / name)
        yield root / name


def test_models_that_transformers_saved_give_what_transformers_gives(tmp_path):
    for folder in whole_models(tmp_path):
        report = tmp_path / f"{folder.name}.json"
        # Fresh weights of transformers hardly tell pictures apart, so unlike ones are the goldens.
        run(
            "export",
            "--from",
            folder,
            "--out",
            tmp_path / "out",
            "--variants",
            "fp32",
            "--licence",
            "CC0-1.0",
            "--origin",
            "a test",
            "--report",
            report,
            "--golden",
            RECIPES / "pictures",
            RECIPES.parent / "tests/fixtures/noise.png",
        )
        assert json.loads(report.read_text())["reference"]["most_difference"] < 1e-5


@pytest.mark.parametrize("architecture", ["siglip", "clip"])
def test_preprocessing_is_that_of_the_processor(narrow, architecture):
    checkpoint = Checkpoint(narrow[architecture])
    processors = reference.processors(narrow[architecture])
    for path in sorted((RECIPES / "pictures").glob("*.[jp][pn]g")):
        image = open_picture(path)
        # Odd margins, tiny and extreme aspects, grey, alpha.
        for changed in (
            image,
            image.resize((301, 200)),
            image.resize((5, 3)),
            image.resize((900, 40)),
            image.convert("L"),
            image.convert("RGBA"),
        ):
            ours = checkpoint.preprocess.apply(changed)
            theirs = np.asarray(processors["pil"](images=changed, return_tensors="np")["pixel_values"])
            assert np.abs(ours - theirs).max() < 1e-5
