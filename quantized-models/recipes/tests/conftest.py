"""Finds the recipes beside the tests, and makes the narrow models once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(RECIPES))
GEOLOCATE = Path(os.environ.get("GEOLOCATE", RECIPES.parents[1] / "target/release/geolocate"))


def run(*arguments: object, expected: int = 0) -> subprocess.CompletedProcess:
    """`encoder.py` as a user runs it."""
    return _run("encoder.py", arguments, expected)


def run_comparator(*arguments: object, expected: int = 0) -> subprocess.CompletedProcess:
    """`comparator.py` as a user runs it."""
    return _run("comparator.py", arguments, expected)


def run_mini(*arguments: object, expected: int = 0) -> subprocess.CompletedProcess:
    """`mini.py` as a user runs it."""
    return _run("mini.py", arguments, expected)


def run_geolocate(*arguments: object) -> subprocess.CompletedProcess:
    """The tool as a user runs it."""
    assert GEOLOCATE.is_file(), f"expected the tool at {GEOLOCATE} (make build, or GEOLOCATE), found none"
    return _done([GEOLOCATE, *arguments])


def _run(program: str, arguments: tuple[object, ...], expected: int) -> subprocess.CompletedProcess:
    return _done([sys.executable, RECIPES / program, *arguments], expected)


def _done(command: list[object], expected: int = 0) -> subprocess.CompletedProcess:
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    return done


@pytest.fixture(scope="session")
def narrow(tmp_path_factory) -> dict[str, Path]:
    """Folders of narrow random models in Hugging Face's layout."""
    root = tmp_path_factory.mktemp("hf")
    for shape in ("narrow-siglip", "narrow-clip"):
        run("random", "--shape", shape, "--out", root / shape)
    return {"siglip": root / "narrow-siglip", "clip": root / "narrow-clip"}


@pytest.fixture
def copy(narrow, tmp_path) -> Path:
    """A copy of the narrow SigLIP that a test may damage."""
    return Path(shutil.copytree(narrow["siglip"], tmp_path / "model"))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """Pairs, held-out pairs and pictures of the world, all of them few."""
    root = tmp_path_factory.mktemp("world")
    for name, seeds in (("pairs", "0..3"), ("held-out", "900..901")):
        options = ("--street", "--px", 128, "--count", 16, "--group", 8)
        run_geolocate("world", "pairs", "--seeds", seeds, *options, "--out", root / name)
    run_geolocate("world", "tiles", "--seed", 7, "--area-km2", 0.05, "--out", root / "map")
    run_geolocate("world", "street", "--seed", 7, "--views", 8, "--out", root / "street")
    run_geolocate("world", "fly", "--seed", 7, "--flights", 2, "--frames", 4, "--out", root / "flights")
    return root
