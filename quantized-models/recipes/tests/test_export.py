"""The recipe end to end on narrow models, without the reference."""

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import RECIPES, run

from geolocated_recipes import measure, onnx_file
from geolocated_recipes.checkpoint import RANDOM_MARK, Checkpoint, sha256
from geolocated_recipes.preprocess import open_picture
from geolocated_recipes.quantize import VARIANTS

FIXTURES = RECIPES.parent / "tests/fixtures"


def manifest(folder: Path) -> dict:
    return tomllib.loads((folder / "model.toml").read_text())


@pytest.mark.parametrize("architecture", ["siglip", "clip"])
def test_every_variant_becomes_a_folder_that_holds_what_its_manifest_says(narrow, tmp_path, architecture):
    out = tmp_path / "out"
    report = tmp_path / "report.json"
    run(
        "export",
        "--from",
        narrow[architecture],
        "--out",
        out,
        "--variants",
        ",".join(VARIANTS),
        "--no-reference",
        "--pictures",
        RECIPES / "pictures",
        "--report",
        report,
    )
    assert sorted(path.name for path in out.iterdir()) == sorted(f"narrow-{architecture}-{name}" for name in VARIANTS)
    reported = json.loads(report.read_text())
    assert reported["reference"] == "not checked against transformers"
    assert "speed and memory only" in reported["note"]
    reference = sha256(out / f"narrow-{architecture}-fp32/model.onnx")
    for name in VARIANTS:
        folder = out / f"narrow-{architecture}-{name}"
        found = manifest(folder)
        assert found["trained"] is False
        assert found["graph"]["sha256"] == sha256(folder / found["graph"]["file"])
        files = {data["file"]: data["sha256"] for data in found["graph"].get("data", [])}
        assert files.keys() == onnx_file.external_files(folder / "model.onnx")
        assert all(digest == sha256(folder / file) for file, digest in files.items())
        assert found["quantization"]["reference"] == reference
        assert ("margin" in found["preprocess"]) == (architecture == "clip")
        running = measure.session(folder / "model.onnx")
        checkpoint = Checkpoint(narrow[architecture])
        assert len(found["golden"]) == 2
        for golden in found["golden"]:
            expected = np.fromfile(folder / golden["embedding"], dtype="<f4")
            pixels = checkpoint.preprocess.apply(open_picture(folder / golden["image"]))
            assert expected @ measure.embed(running, pixels) > 0.999_99
            assert np.linalg.norm(expected) == pytest.approx(1, abs=1e-5)


def test_variants_of_few_pictures_have_a_space_of_their_own(narrow, tmp_path):
    run(
        "export",
        "--from",
        narrow["siglip"],
        "--out",
        tmp_path,
        "--variants",
        "fp32,int8",
        "--no-reference",
        "--pictures",
        RECIPES / "pictures",
    )
    spaces = [manifest(tmp_path / f"narrow-siglip-{name}")["space"]["id"] for name in ("fp32", "int8")]
    assert spaces[0].startswith("narrow-siglip@") and spaces[1].startswith("narrow-siglip-int8@")


def test_the_kept_fixture_is_what_the_recipe_writes(narrow, tmp_path):
    pictures = [FIXTURES / name for name in ("quadrants.jpg", "noise.png", "quadrants_grey.jpg")]
    run(
        "export",
        "--from",
        narrow["siglip"],
        "--out",
        tmp_path,
        "--variants",
        "fp32,int8-reduced",
        "--no-reference",
        "--golden",
        *pictures,
        "--pictures",
        RECIPES / "pictures",
    )
    for kept in sorted((FIXTURES / "narrow").glob("*/model.onnx*")):
        assert kept.read_bytes() == (tmp_path / kept.parent.name / kept.name).read_bytes(), kept


def test_graphs_need_nothing_newer_than_opset_17_and_ir_8(narrow, tmp_path):
    run(
        "export",
        "--from",
        narrow["siglip"],
        "--out",
        tmp_path,
        "--variants",
        "fp32,int8,int8-weights",
        "--no-reference",
    )
    for path in tmp_path.glob("*/model.onnx"):
        model = onnx.load(path, load_external_data=False)
        assert model.ir_version <= 8
        assert {opset.domain: opset.version for opset in model.opset_import}[""] == 17
        assert not model.graph.value_info


def test_large_weights_start_on_pages(tmp_path):
    weights = {"large": np.zeros(40_000, dtype=np.float32), "small": np.ones(300, dtype=np.float32)}
    node = onnx.helper.make_node("Add", ["in", "large"], ["out"])
    ends = tuple(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [40_000]) for name in ("in", "out"))
    model = onnx_file.model([node], {**weights, "more": weights["large"] + 1}, ends, 17, 8)
    onnx_file.save(model, tmp_path / "model.onnx", "data")
    model = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    offsets = {
        tensor.name: int(entry.value)
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    }
    assert offsets["large"] % 4096 == offsets["more"] % 4096 == 0
    assert offsets["small"] % 64 == 0
    back = {t.name: onnx.numpy_helper.to_array(t) for t in onnx_file.load(tmp_path / "model.onnx").graph.initializer}
    assert (back["more"] == 1).all() and (back["small"] == 1).all()


def test_trained_models_are_refused_below_their_bound_and_without_pictures(copy, tmp_path):
    config = json.loads((copy / "config.json").read_text())
    del config[RANDOM_MARK]
    (copy / "config.json").write_text(json.dumps(config))
    arguments = (
        "export",
        "--from",
        copy,
        "--out",
        tmp_path / "out",
        "--no-reference",
        "--licence",
        "CC0-1.0",
        "--origin",
        "a test",
        "--name",
        "narrow",
    )
    done = run(*arguments, "--variants", "fp32,int8", "--pictures", RECIPES / "pictures", expected=1)
    assert "at least 50, found 3" in done.stderr
    assert not (tmp_path / "out").exists()
    # Sixty pictures that a narrow model in 4 bits cannot tell apart as fp32 does.
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0)
    from PIL import Image

    for at in range(60):
        Image.fromarray(noise.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(pictures / f"{at:02}.png")
    done = run(*arguments, "--variants", "fp32,int4-weights", "--pictures", pictures, expected=1)
    assert "not written: int4-weights: " in done.stderr and "expected at" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["narrow-fp32"]
    assert "trained" not in manifest(tmp_path / "out/narrow-fp32")


def test_nothing_is_overwritten(narrow, tmp_path):
    (tmp_path / "narrow-siglip-fp32").mkdir()
    done = run(
        "export", "--from", narrow["siglip"], "--out", tmp_path, "--variants", "fp32", "--no-reference", expected=1
    )
    assert "expected nothing there" in done.stderr


def test_an_export_that_transformers_has_not_checked_is_asked_for_by_name(narrow, tmp_path):
    from geolocated_recipes import reference

    if reference.is_installed():
        pytest.skip("the reference is installed")
    done = run("export", "--from", narrow["siglip"], "--out", tmp_path, "--variants", "fp32", expected=1)
    assert "--no-reference" in done.stderr
