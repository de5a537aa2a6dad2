"""Finds the recipes beside the tests, and makes the narrow models once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(RECIPES))


def run(*arguments: object, expected: int = 0) -> subprocess.CompletedProcess:
    """`encoder.py` as a user runs it."""
    return _run("encoder.py", arguments, expected)


def run_comparator(*arguments: object, expected: int = 0) -> subprocess.CompletedProcess:
    """`comparator.py` as a user runs it."""
    return _run("comparator.py", arguments, expected)


def _run(program: str, arguments: tuple[object, ...], expected: int) -> subprocess.CompletedProcess:
    command = [sys.executable, RECIPES / program, *map(str, arguments)]
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
