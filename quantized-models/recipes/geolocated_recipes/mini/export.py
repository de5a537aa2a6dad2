"""From a finished training run to a model folder: graphs, 8-bit weights, measured agreement, goldens, manifest."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from geolocated_recipes import folder as folders
from geolocated_recipes import measure, pictures
from geolocated_recipes.checkpoint import sha256
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.measure import Agreement
from geolocated_recipes.mini.fronts import SIDE
from geolocated_recipes.mini.network import Shape
from geolocated_recipes.mini.run import CHECKPOINT
from geolocated_recipes.mini.tower_graph import MiniGraph
from geolocated_recipes.mini.towers import Towers, cut
from geolocated_recipes.preprocess import Preprocess
from geolocated_recipes.quantize import VARIANTS, widened

# Largest difference of any number of a unit vector between torch and the fp32 graph.
MOST_DIFFERENCE = 1e-5
GOLDEN_COSINE = 0.99
LICENCE = "MIT OR Apache-2.0"
SOURCE = "trained on the world of `geolocate world`, seeds 0 to 899; recipe quantized-models/recipes/mini.py"
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Side:
    """One tower with what it takes. `name` is `reference` or `query`."""

    name: str
    front: str
    preprocess: Preprocess
    run: Callable[[np.ndarray], np.ndarray]
    """Pixels `[1, 3, rows, columns]` to the unit vector, by torch."""
    weights: dict[str, np.ndarray]
    shape: Shape

    @property
    def file(self) -> str:
        """Name of its graph."""
        return "model.onnx" if self.name == "reference" else "query.onnx"


@dataclass(frozen=True)
class Request:
    """What to make, from what."""

    run: Path
    """Folder of the training run."""
    name: str
    out: Path
    references: list[Path]
    """Pictures of the map, to measure on; two of them become goldens."""
    queries: list[Path]
    """Pictures of the other view."""


def sides(run: Path) -> tuple[list[Side], str]:
    """The towers of a run, and the digest of their weights and preprocessing, which names the space."""
    state = torch.load(run / CHECKPOINT, weights_only=True)
    towers = Towers(state["plan"]["view"])
    towers.load_state_dict(state["averaged"])
    towers.eval()
    tile, panorama = (Preprocess(columns, SIDE, "stretch", "bicubic", HALF, HALF) for columns in (SIDE, 2 * SIDE))
    view = towers.view
    plain = view == "nadir"

    def numbers(module: torch.nn.Module) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in module.state_dict().items()}

    @torch.inference_mode()
    def of_map(pixels: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(pixels)
        return towers.reference(tensor if plain else towers.bend(tensor)).numpy()[0]

    @torch.inference_mode()
    def of_view(pixels: np.ndarray) -> np.ndarray:
        return towers.query(cut(torch.from_numpy(pixels))).numpy()[0]

    shape = towers.reference.shape
    front = "plain" if plain else "bend"
    found = [Side("reference", front, tile, of_map, numbers(towers.reference), shape)]
    if not plain:
        found.append(Side("query", "cut", panorama, of_view, numbers(towers.query), shape))
    digest = hashlib.sha256()
    for side in found:
        digest.update(f"{side.name} {side.front} {side.preprocess.canonical()}".encode())
        for name, array in sorted(side.weights.items()):
            digest.update(
                f"{name} {list(array.shape)} {array.dtype}\n".encode() + np.ascontiguousarray(array).tobytes()
            )
    return found, digest.hexdigest()


class Export:
    """One run of the export: the folder is written whole or not at all."""

    def __init__(self, request: Request):
        self.request = request
        self.sides, self.digest = sides(request.run)
        self.report: dict = {"name": request.name, "space": f"{request.name}@{self.digest[:12]}", "sides": {}}

    def write(self) -> dict:
        """Returns the report: bytes, agreement of 8-bit weights with fp32, per side."""
        out = self.request.out
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".recipe.", dir=out.parent) as work:
            made, base = Path(work) / "made", Path(work) / "fp32"
            made.mkdir()
            base.mkdir()
            (made / "golden").mkdir()
            parts = [self._side(side, made, base) for side in self.sides]
            (made / "model.toml").write_text(self._manifest(made, parts), encoding="utf-8")
            folders.publish(made, out)
        return self.report

    def _side(self, side: Side, made: Path, base: Path) -> dict:
        """Writes the graph and the goldens of one side; returns what the manifest says of it."""
        graph = MiniGraph(side.weights, side.shape, side.front).build()
        onnx.save(graph, base / side.file)
        small = widened(onnx.ModelProto.FromString(graph.SerializeToString()), operators=("MatMul", "Conv"))
        (made / side.file).write_bytes(small.SerializeToString(deterministic=True))
        exact, rounded = measure.session(base / side.file), measure.session(made / side.file)
        # Views from above share the tower: it is measured on both.
        only = {"reference": self.request.references, "query": self.request.queries}[side.name]
        asked = only if len(self.sides) > 1 else [*self.request.references, *self.request.queries]
        paths, inputs = pictures.read(asked, side.preprocess)
        truth = np.array([side.run(pixels) for pixels in inputs])
        vectors = np.array([measure.embed(exact, pixels) for pixels in inputs])
        most = float(np.abs(vectors - truth).max())
        if not most <= MOST_DIFFERENCE:
            raise RecipeError(f"{side.file}: expected at most {MOST_DIFFERENCE} from torch, found {most:g}")
        eights = np.array([measure.embed(rounded, pixels) for pixels in inputs])
        agreement = measure.agreement(truth, eights, None, 0.0)
        self._judge(side, agreement)
        chosen = folders.choose_goldens(paths, truth)
        goldens = [
            self._golden(made, side, paths[at], truth[at], letter) for at, letter in zip(chosen, "ab", strict=True)
        ]
        self.report["sides"][side.name] = {
            "bytes": (made / side.file).stat().st_size,
            "fp32_to_torch": most,
            "agreement": agreement.as_dict(),
        }
        return {"side": side, "agreement": agreement, "goldens": goldens, "reference": sha256(base / side.file)}

    def _judge(self, side: Side, agreement: Agreement) -> None:
        bound = VARIANTS["int8-weights"]
        if not agreement.cosine_median >= bound.least_cosine:
            expected = f"a median cosine of at least {bound.least_cosine} to fp32"
            raise RecipeError(f"{side.file}: expected {expected}, found {agreement.cosine_median:.5f}")

    def _golden(self, made: Path, side: Side, picture: Path, vector: np.ndarray, letter: str) -> str:
        stem = f"golden/{side.name}_{letter}"
        (made / f"{stem}{picture.suffix.lower()}").write_bytes(picture.read_bytes())
        (made / f"{stem}.f32").write_bytes(np.ascontiguousarray(vector, dtype="<f4").tobytes())
        lines = ["", "[[golden]]", f'image = "{stem}{picture.suffix.lower()}"', f'embedding = "{stem}.f32"']
        return "\n".join([*lines, f"min_cosine = {GOLDEN_COSINE}", f'view = "{side.name}"'])

    def _manifest(self, made: Path, parts: list[dict]) -> str:
        first = parts[0]
        agreement = first["agreement"]
        head = [
            "# The manifest of one model. Paths are relative to this file. README.md beside it is its card.",
            "format = 1",
            'kind = "encoder"',
            f'name = "{self.request.name}"',
            f'licence = "{LICENCE}"',
            f"source = {json.dumps(SOURCE)}",
            "",
            "[space]",
            f'id = "{self.report["space"]}"',
            f"dimensions = {self.sides[0].shape.embedding}",
        ]
        tables = [line for part in parts for line in self._tables(made, part["side"])]
        tail = [
            "",
            "[quantization]",
            'weights = "int8"',
            'activations = "float32"',
            f'reference = "{first["reference"]}"',
            f'measured_on = "{measure.measured_on()}"',
            f"pictures = {agreement.pictures}",
            f"cosine_least = {agreement.cosine_least:.6f}",
            f"cosine_median = {agreement.cosine_median:.6f}",
            "",
            "[runtime]",
            'order = ["onnxruntime", "tract"]',
        ]
        return "\n".join([*head, *tables, *tail, *(golden for part in parts for golden in part["goldens"])]) + "\n"

    def _tables(self, made: Path, side: Side) -> list[str]:
        under = "" if side.name == "reference" else ".query"
        pre = side.preprocess
        return [
            "",
            f"[graph{under}]",
            f'file = "{side.file}"',
            f'sha256 = "{sha256(made / side.file)}"',
            'input = "pixel_values"',
            'output = "embedding"',
            "",
            f"[preprocess{under}]",
            f"width = {pre.width}",
            f"height = {pre.height}",
            f'resize = "{pre.resize}"',
            f'filter = "{pre.filter}"',
            'channels = "rgb"',
            f"mean = {list(pre.mean)}",
            f"std = {list(pre.std)}",
        ]
