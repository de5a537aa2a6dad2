"""Folders that are not what they say are refused, each by file and key."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from geolocated_recipes import catalog, measure
from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.preprocess import Preprocess
from geolocated_recipes.tower import from_config


def edit(path, **changes):
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "siglip2"}, "NaFlex"),
        ({"model_type": "bert"}, "model_type: expected one of"),
        ({"vision_config": {"hidden_act": "relu"}}, "hidden_act: expected one of"),
        ({"vision_config": {"hidden_size": 10, "num_attention_heads": 3}}, "num_attention_heads"),
        ({"vision_config": {"image_size": "224"}}, "image_size: expected a whole number"),
        ({"vision_config": {"vision_use_head": False}}, "vision_use_head"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(copy, changes, message):
    edit(copy / "config.json", **changes)
    with pytest.raises(RecipeError, match=message):
        Checkpoint(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resample": 0}, "resample"),
        ({"do_rescale": False}, "do_rescale"),
        ({"size": {"height": 256, "width": 256}}, "config.json says 224 x 224"),
        ({"size": {"height": 224}}, "size.width"),
        ({"image_mean": [0.5]}, "image_mean: expected three numbers"),
        ({"rescale_factor": 1.0}, "rescale_factor"),
        ({"size": {"shortest_edge": 200}, "crop_size": {"height": 224, "width": 224}}, "at least 224"),
    ],
)
def test_preprocessing_that_a_manifest_cannot_say_is_refused(copy, changes, message):
    edit(copy / "preprocessor_config.json", **changes)
    with pytest.raises(RecipeError, match=message):
        Checkpoint(copy)


def test_weights_that_are_cut_misshapen_missing_or_not_finite_are_refused(copy):
    path = copy / "model.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    name = "vision_model.head.probe"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecipeError, match="expected safetensors"):
        Checkpoint(copy)
    save_file({**tensors, name: tensors[name][..., :4].copy()}, path)
    with pytest.raises(RecipeError, match=r"head.probe: expected shape \(1, 1, 12\), found \(1, 1, 4\)"):
        Checkpoint(copy)
    save_file({key: value for key, value in tensors.items() if key != name}, path)
    with pytest.raises(RecipeError, match="expected a tensor vision_model.head.probe"):
        Checkpoint(copy)
    save_file({**tensors, name: np.full_like(tensors[name], np.nan)}, path)
    with pytest.raises(RecipeError, match="finite"):
        Checkpoint(copy).digest()
    path.unlink()
    (copy / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RecipeError, match="convert it first"):
        Checkpoint(copy)


def test_weights_in_several_files_are_those_of_one_and_stay_in_their_folder(copy):
    digest = Checkpoint(copy).digest()
    tensors = load_file(copy / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, copy / file)
    (copy / "model.safetensors").unlink()
    index = copy / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in parts.items() for name in part}}))
    assert Checkpoint(copy).digest() == digest
    index.write_text(json.dumps({"weight_map": dict.fromkeys(names, "../a.safetensors")}))
    with pytest.raises(RecipeError, match="expected a file of this folder"):
        Checkpoint(copy)


def test_the_digest_names_weights_and_preprocessing(copy):
    before = Checkpoint(copy).digest()
    edit(copy / "preprocessor_config.json", resample=2)
    assert Checkpoint(copy).digest() != before


def test_a_published_configuration_says_only_what_differs_from_the_defaults():
    tower = from_config({"model_type": "siglip", "vision_config": {"model_type": "siglip_vision_model"}})
    assert (tower.hidden_size, tower.layers, tower.tokens, tower.activation) == (768, 12, 196, "gelu_pytorch_tanh")
    stated = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "patch_size": 14}
    tower = from_config({"model_type": "clip", "vision_config": stated})
    assert (tower.tokens, tower.layer_norm_eps, tower.activation) == (257, 1e-5, "quick_gelu")


def test_the_first_clip_processors_state_sizes_as_numbers():
    config = {"size": 224, "crop_size": 224, "resample": 3, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    found = Preprocess.from_huggingface({**config, "do_center_crop": True})
    assert (found.width, found.height, found.resize, found.shortest_side) == (224, 224, "crop", None)
    found = Preprocess.from_huggingface({**config, "size": 256})
    assert (found.width, found.shortest_side) == (224, 256)


def test_names_of_the_catalog_become_those_of_spaces():
    names = ["siglip-base-patch16-224", "siglip2-so400m-patch14-384", "streetclip"]
    assert [catalog.short_name(name) for name in names] == ["siglip-b16-224", "siglip2-so400m14-384", "streetclip"]


def test_every_entry_of_the_catalog_has_what_the_recipe_reads():
    entries = [catalog.entry(path.stem) for path in sorted(catalog.FOLDER.glob("*.toml"))]
    assert len(entries) >= 10
    for entry in entries:
        assert {"name", "kind", "repo", "licence", "dimensions", "input_px", "recipe"} <= entry.keys()
    with pytest.raises(RecipeError, match="a name of the catalog"):
        catalog.entry("../catalog/streetclip")


def test_recall_counts_what_lies_near():
    vectors = np.array([[1, 0], [0.99, 0.14107], [0, 1], [0.14107, 0.99]], dtype=np.float32)
    positions = np.array([[10, 10], [10, 10.0001], [20, 20], [20, 20.0001]])
    found = measure.agreement(vectors, vectors, positions, 25)
    assert found.recall == found.recall_reference and found.recall[1] == 1 and found.shares_space
    turned = vectors[:, ::-1]
    found = measure.agreement(vectors, turned, positions, 25)
    assert found.recall[1] == 0 and not found.shares_space
    found = measure.agreement(vectors, vectors, positions + [[0, 0], [5, 0], [0, 0], [5, 0]], 25)
    assert np.isnan(found.recall[1]) and not found.shares_space
