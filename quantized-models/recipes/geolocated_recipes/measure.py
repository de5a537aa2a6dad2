"""How far a variant is from fp32: cosine and Recall@K on pictures; and how fast it is, side by side."""

import math
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from geolocated_recipes.graph import INPUT, OUTPUT, POOLED

RECALL_AT = (1, 5, 10)
# A variant shares the space of fp32 from here on.
SAME_SPACE_COSINE = 0.999


def session(path: Path, threads: int = 1, with_pooled: bool = False) -> onnxruntime.InferenceSession:
    """A graph on the CPU. `with_pooled` also shows the vector before it is brought to unit length."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    if not with_pooled:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    model = onnx.load(path, load_external_data=False)
    shape = [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim]
    model.graph.output.append(helper.make_tensor_value_info(POOLED, TensorProto.FLOAT, shape))
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)


def embed(running: onnxruntime.InferenceSession, pixels: np.ndarray, output: str = OUTPUT) -> np.ndarray:
    """The vector of one picture."""
    return running.run([output], {INPUT: pixels})[0][0]


@dataclass(frozen=True)
class Agreement:
    """A variant beside fp32, on the same pictures."""

    pictures: int
    cosine_least: float
    cosine_median: float
    recall: dict[int, float]
    """Recall@K with queries of the variant among references of fp32."""
    recall_reference: dict[int, float]
    """The same with queries of fp32."""
    truth: str
    """What counts as found: `positions`, or `nearest`: fp32's own nearest neighbour."""

    @property
    def recall_lost(self) -> float:
        """The largest loss at any K, as a share of the queries."""
        return max(self.recall_reference[k] - self.recall[k] for k in RECALL_AT)

    @property
    def shares_space(self) -> bool:
        """Cosine of every picture at least 0.999, and no query lost at any K."""
        return self.cosine_least >= SAME_SPACE_COSINE and self.recall_lost <= 0

    def as_dict(self) -> dict:
        """For reports."""
        return asdict(self)


def agreement(reference: np.ndarray, variant: np.ndarray, positions: np.ndarray | None, metres: float) -> Agreement:
    """Compares unit vectors of the same pictures, row by row. `positions` are degrees, latitude and longitude.

    Every picture asks once, among all others. Found is what lies within `metres`; without positions it is the picture
    that fp32 ranks first.
    """
    cosines = np.sum(reference.astype(np.float64) * variant, axis=1)
    scores = reference @ reference.T
    crossed = variant @ reference.T
    np.fill_diagonal(scores, -np.inf)
    np.fill_diagonal(crossed, -np.inf)
    if positions is None:
        true = np.zeros(scores.shape, dtype=bool)
        true[np.arange(len(true)), scores.argmax(axis=1)] = True
    else:
        true = _distances_m(positions) <= metres
        np.fill_diagonal(true, False)
    asks = true.any(axis=1)
    recall, recall_reference = (
        {k: _recall(rows[asks], true[asks], k) for k in RECALL_AT} for rows in (crossed, scores)
    )
    truth = "nearest" if positions is None else "positions"
    return Agreement(len(cosines), float(cosines.min()), float(np.median(cosines)), recall, recall_reference, truth)


def _recall(scores: np.ndarray, true: np.ndarray, k: int) -> float:
    """Share of rows with a true column among the `k` best; not a number without rows."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    found = np.take_along_axis(true, best, axis=1).any(axis=1)
    return float(found.mean()) if len(found) else math.nan


def _distances_m(positions: np.ndarray) -> np.ndarray:
    """Great-circle distances between all pairs (haversine, mean radius)."""
    latitude, longitude = np.radians(positions).T
    half = (np.subtract.outer(latitude, latitude) / 2, np.subtract.outer(longitude, longitude) / 2)
    chord = np.sin(half[0]) ** 2 + np.multiply.outer(np.cos(latitude), np.cos(latitude)) * np.sin(half[1]) ** 2
    return 2 * 6_371_008.8 * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))


def speed(graphs: dict[str, Path], pixels: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds per picture on one thread, `rounds` of each graph, in turn, after one round of warm-up."""
    sessions = {name: session(path) for name, path in graphs.items()}
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for at in range(rounds + 1):
        for name, running in sessions.items():
            start = time.process_time()
            embed(running, pixels)
            if at > 0:
                times[name].append((time.process_time() - start) * 1e3)
    return times


def measured_on() -> str:
    """CPU class and runtime, as manifests state where goldens were computed: what changes 8-bit results."""
    return f"{cpu_class()}, onnxruntime {onnxruntime.__version__}"


def cpu_class() -> str:
    """Architecture and the widest 8-bit instructions, e.g. `x86_64 avx512vnni`."""
    machine = platform.machine()
    classes = {
        "x86_64": (("avx512_vnni", "avx512vnni"), ("avx_vnni", "avxvnni"), ("avx512bw", "avx512bw"), ("avx2", "avx2")),
        "aarch64": (("i8mm", "i8mm"), ("asimddp", "dotprod"), ("asimd", "neon")),
    }
    flags: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text().splitlines()
        flags = {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}
    found = (name for flag, name in classes.get(machine, ()) if flag in flags)
    return f"{machine} {next(found, 'unknown')}"
