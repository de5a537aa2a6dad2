"""Comparators end to end on narrow models, without the reference."""

import json
import platform
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import RECIPES, run_comparator
from PIL import Image

from geolocated_recipes import catalog, onnx_file
from geolocated_recipes.checkpoint import RANDOM_MARK, sha256
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.graph import Graph
from geolocated_recipes.measure import cpu_class
from geolocated_recipes.preprocess import open_picture
from geolocated_recipes.vlm import preprocess
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.configs import SHAPES
from geolocated_recipes.vlm.decoder import DecoderGraph
from geolocated_recipes.vlm.runner import Runner, joined
from geolocated_recipes.vlm.shape import from_config
from geolocated_recipes.vlm.variants import VARIANTS

FIXTURES = RECIPES.parent / "tests/fixtures"
KEPT = FIXTURES / "narrow-comparator"
PICTURES = [FIXTURES / name for name in ("quadrants.jpg", "noise.png", "quadrants_grey.jpg")]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A narrow model in Hugging Face's layout, the one of the fixtures."""
    folder = tmp_path_factory.mktemp("hf") / "narrow-smolvlm"
    run_comparator("random", "--shape", "narrow-smolvlm", "--seed", "2", "--out", folder)
    return folder


def export(source: Path, out: Path, *arguments: object) -> None:
    run_comparator("export", "--from", source, "--out", out, "--no-reference", "--golden", *PICTURES, *arguments)


def test_the_kept_fixture_is_what_the_recipe_writes(source, tmp_path):
    export(source, tmp_path, "--variants", "fp32,int8-reduced")
    export(source, tmp_path, "--variants", "fp32", "--plain")
    export(source, tmp_path, "--variants", "fp32", "--blocks-independent")
    assert sorted(path.name for path in KEPT.iterdir()) == sorted(path.name for path in tmp_path.iterdir())
    for kept in sorted(KEPT.glob("*/*.onnx*")) + sorted(KEPT.glob("*/tokenizer.json")):
        assert kept.read_bytes() == (tmp_path / kept.parent.name / kept.name).read_bytes(), kept


def test_the_kept_writers_are_what_the_recipe_writes(tmp_path):
    for shape, more in (("narrow-smolvlm-long", ()), ("narrow-qwen2-vl", ("--side", "56"))):
        run_comparator("random", "--shape", shape, "--seed", "2", "--out", tmp_path / shape)
        export(tmp_path / shape, tmp_path / "out", "--variants", "fp32", "--all-rows", *more)
    kept = sorted((FIXTURES / "narrow-generator").iterdir())
    assert [path.name for path in kept] == sorted(path.name for path in (tmp_path / "out").iterdir())
    for folder in kept:
        for file in [*folder.glob("*.onnx*"), folder / "tokenizer.json"]:
            assert file.read_bytes() == (tmp_path / "out" / folder.name / file.name).read_bytes(), file
        folders = (folder, tmp_path / "out" / folder.name)
        found, made = (tomllib.loads((path / "model.toml").read_text()) for path in folders)
        assert found["generate"] == made["generate"]
        assert all(mark in found["generate"]["prompt"] for mark in ("{image}", "{text}", *found["generate"]["stop"]))
        assert "logits_rows" not in found["graphs"]["decoder"]


def test_what_cannot_write_is_not_told_how(source, tmp_path):
    export(source, tmp_path, "--variants", "fp32")
    assert "generate" not in tomllib.loads((tmp_path / "narrow-smolvlm-fp32/model.toml").read_text())


@pytest.mark.parametrize("folder", sorted(KEPT.iterdir()), ids=lambda folder: folder.name)
def test_a_folder_holds_what_its_manifest_says(source, folder):
    found = tomllib.loads((folder / "model.toml").read_text())
    for graph in found["graphs"].values():
        assert graph["sha256"] == sha256(folder / graph["file"])
        files = {data["file"]: data["sha256"] for data in graph.get("data", [])}
        assert files.keys() == onnx_file.external_files(folder / graph["file"])
        assert all(digest == sha256(folder / file) for file, digest in files.items())
    checkpoint = VlmCheckpoint(source)
    assert found["image"]["tokens"] == checkpoint.shape.image_tokens
    running = Runner(folder)
    pre = preprocess.read(source, checkpoint.shape)
    for golden in found["golden"]:
        pictures = [running.see(pre.apply(open_picture(folder / golden[key]))) for key in ("query", "first", "second")]
        assert running.pair(running.pair_pieces(*pictures)) == pytest.approx(golden["margin"], abs=golden["tolerance"])


def test_pieces_give_what_the_whole_prompt_gives_in_both_forms():
    drawn = np.random.default_rng(0)
    pictures = [drawn.uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32) for _ in range(3)]
    margins = []
    for name in ("narrow-smolvlm-fp32", "narrow-smolvlm-fp32-plain"):
        running = Runner(KEPT / name)
        pieces = running.pair_pieces(*(running.see(picture) for picture in pictures))
        whole, _ = running.run(joined(pieces))
        margins += [running.pair(pieces), running.margin(whole, "pair")]
    assert margins == pytest.approx([margins[0]] * 4, abs=1e-5)


def saturates() -> bool:
    """Whether this CPU adds products of 8 bits up in 16: x86 without VNNI."""
    return platform.machine() == "x86_64" and "vnni" not in cpu_class()


def test_every_variant_says_how_far_it_is_from_fp32(source, tmp_path):
    report = tmp_path / "report.json"
    export(source, tmp_path / "out", "--variants", ",".join(VARIANTS), "--report", report)
    found = json.loads(report.read_text())
    assert found["pieces_as_whole"] is True
    assert found["reference"] == "not checked against transformers" and "speed and memory only" in found["note"]
    for name in VARIANTS:
        manifest = tomllib.loads((tmp_path / f"out/narrow-smolvlm-{name}/model.toml").read_text())
        assert manifest["trained"] is False
        assert found["variants"][name]["folder"] == f"narrow-smolvlm-{name}"
        agreement = found["variants"][name]["agreement"]
        if name == "fp32":
            assert agreement is None and "signs_kept" not in manifest["quantization"]
        else:
            assert manifest["quantization"]["comparisons"] == agreement["comparisons"] == 40
            assert manifest["quantization"]["signs_kept"] == pytest.approx(agreement["signs_kept"], abs=1e-5)
            # Where sums of 8-bit products saturate, the variants that use all 8 bits lose more.
            is_coarse = name == "int4" or (name in ("int8", "int8-mixed") and saturates())
            assert agreement["correlation"] > (0.5 if is_coarse else 0.9)


def test_trained_models_are_refused_below_their_bound_and_without_pictures(source, tmp_path):
    model = Path(shutil.copytree(source, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())
    del config[RANDOM_MARK]
    (model / "config.json").write_text(json.dumps(config))
    arguments = ("export", "--from", model, "--out", tmp_path / "out", "--no-reference", "--golden", *PICTURES)
    done = run_comparator(*arguments, expected=1)
    assert "--model" in done.stderr
    arguments += ("--licence", "CC0-1.0", "--origin", "a test", "--name", "narrow", "--variants", "fp32,int4")
    done = run_comparator(*arguments, expected=1)
    assert "40 comparisons of 12 pictures, found 40 of 0" in done.stderr
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0)
    for at in range(12):
        Image.fromarray(noise.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(pictures / f"{at:02}.png")
    done = run_comparator(*arguments, "--pictures", pictures, expected=1)
    assert "not written: int4: signs kept: expected at least 0.9" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["narrow-fp32"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llava"}, "model_type: expected one of"),
        ({"scale_factor": 3}, "expected a divisor of 8"),
        ({"text_config": {"hidden_act": "gelu"}}, "text_config.hidden_act: expected silu"),
        ({"text_config": {"num_attention_heads": 5}}, "num_key_value_heads: expected a divisor of 5"),
        ({"text_config": {"rope_scaling": {"type": "yarn"}}}, "rope_scaling: expected default, mrope or linear"),
        ({"text_config": {"intermediate_size": 64}}, "gate_proj.weight: expected shape"),
        ({"text_config": {"num_hidden_layers": 3}}, "expected a tensor model.text_model.layers.2"),
    ],
)
def test_what_cannot_be_built_is_refused_by_key(source, tmp_path, changes, message):
    model = Path(shutil.copytree(source, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=message):
        DecoderGraph(VlmCheckpoint(model), Graph(), "plain").build()


def test_weights_that_are_cut_or_lie_outside_their_file_are_refused(source, tmp_path):
    model = Path(shutil.copytree(source, tmp_path / "model"))
    whole = (model / "model.safetensors").read_bytes()
    for damaged in (whole[:-10], whole[:4], b"\xff" * 8 + whole[8:], whole[:8] + b"[1]" + whole[11:]):
        (model / "model.safetensors").write_bytes(damaged)
        with pytest.raises(RecipeError, match="model.safetensors: .*expected"):
            VlmCheckpoint(model)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("smolvlm-256m-instruct", "smolvlm-256m"),
        ("smolvlm-500m-instruct", "smolvlm-500m"),
        ("llava-onevision-qwen2-0.5b", "llava-onevision-0.5b"),
        ("qwen2-vl-2b-instruct", "qwen2-vl-2b"),
        ("gemma-3-4b-it", "gemma-3-4b"),
    ],
)
def test_the_catalog_says_what_the_shapes_are(name, shape):
    entry, found = catalog.entry(name), from_config(SHAPES[shape])
    assert (entry["kind"], entry["recipe"]) == ("comparator", found.architecture)
    assert (entry["dimensions"], entry["input_px"]) == (found.text.hidden_size, found.vision.image_size)
