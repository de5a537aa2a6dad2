"""ONNX files: a small graph, and its weights in a data file beside it, aligned so that they can be mapped."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

PRODUCER = "geolocated recipes"
# Smaller weights stay in the graph file.
LEAST_EXTERNAL_BYTES = 1024
# A large weight starts on a page, so that a runtime can map it as it lies; a small one on a cache line.
PAGE_BYTES, LINE_BYTES = 4096, 64
LARGE_BYTES = 1 << 16


class DataFile:
    """Weights of a graph, by name; large ones lie in a file from the moment on that they are given.

    So no more than one of them is in memory, and the file is the same as if all had been written at the end.
    """

    def __init__(self, path: Path):
        self.path = path
        self.tensors: dict[str, TensorProto] = {}
        self._file, self._at = path.open("wb"), 0

    def __setitem__(self, name: str, array: np.ndarray) -> None:
        """Takes a weight; all of them in the order in which they are given."""
        self.tensors[name] = self.moved(numpy_helper.from_array(array, name))

    def __contains__(self, name: str) -> bool:
        """Whether a weight of this name was given."""
        return name in self.tensors

    def moved(self, tensor: TensorProto) -> TensorProto:
        """`tensor`, its content in the file if that is large enough."""
        content = _content(tensor)
        if len(content) < LEAST_EXTERNAL_BYTES:
            return tensor
        step = PAGE_BYTES if len(content) >= LARGE_BYTES else LINE_BYTES
        self._file.write(b"\0" * (-self._at % step))
        self._at += -self._at % step
        self._file.write(content)
        _point(tensor, self.path.name, self._at, len(content))
        self._at += len(content)
        return tensor

    def close(self) -> list[Path]:
        """Ends the file, which goes if nothing is in it. Returns what is there."""
        self._file.close()
        if self._at == 0:
            self.path.unlink()
        return [self.path] if self._at else []


def model(
    nodes: list,
    weights: dict[str, np.ndarray],
    ends: tuple[ValueInfoProto, ValueInfoProto],
    opset: int,
    ir_version: int,
) -> ModelProto:
    """A model with its weights inside."""
    return named_model("vision_tower", nodes, weights, ([ends[0]], [ends[1]]), {"": opset}, ir_version)


def named_model(
    name: str,
    nodes: list,
    weights: dict[str, np.ndarray] | DataFile,
    ends: tuple[list[ValueInfoProto], list[ValueInfoProto]],
    opsets: dict[str, int],
    ir_version: int,
) -> ModelProto:
    """The same with any number of inputs and outputs, and operators of several domains."""
    if isinstance(weights, DataFile):
        tensors = list(weights.tensors.values())
    else:
        tensors = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, name, *ends, tensors)
    opset_imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(graph, producer_name=PRODUCER, ir_version=ir_version, opset_imports=opset_imports)


def save(model: ModelProto, path: Path, data_name: str) -> list[Path]:
    """Writes `path`, and `data_name` beside it when there are weights worth moving there. Returns the files.

    Consumes `model`: its weights are moved out. Shapes of inner values are dropped: files that onnxruntime quantized
    keep stale ones, which other runtimes refuse.
    """
    del model.graph.value_info[:]
    data = DataFile(path.with_name(data_name))
    for tensor in model.graph.initializer:
        if not uses_external_data(tensor):
            data.moved(tensor)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return [path, *data.close()]


def save_moved(model: ModelProto, path: Path, data: DataFile) -> list[Path]:
    """Writes a graph whose weights were given to `data`."""
    path.write_bytes(model.SerializeToString(deterministic=True))
    return [path, *data.close()]


def load(path: Path) -> ModelProto:
    """A model with all its weights."""
    model = onnx.load(path, load_external_data=False)
    load_external_data_for_model(model, str(path.parent))
    return model


def external_files(path: Path) -> set[str]:
    """Names of the data files that the graph of `path` points at."""
    model = onnx.load(path, load_external_data=False)
    tensors = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def _content(tensor: TensorProto) -> bytes:
    if tensor.HasField("raw_data"):
        return tensor.raw_data
    return numpy_helper.to_array(tensor).tobytes()


def _point(tensor: TensorProto, name: str, at: int, length: int) -> None:
    kept = (tensor.name, tensor.data_type, list(tensor.dims))
    tensor.Clear()
    tensor.name, tensor.data_type = kept[:2]
    tensor.dims.extend(kept[2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", str(at)), ("length", str(length))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
