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


def model(
    nodes: list,
    weights: dict[str, np.ndarray],
    ends: tuple[ValueInfoProto, ValueInfoProto],
    opset: int,
    ir_version: int,
) -> ModelProto:
    """A model with its weights inside."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "vision_tower", [ends[0]], [ends[1]], tensors)
    return helper.make_model(
        graph, producer_name=PRODUCER, ir_version=ir_version, opset_imports=[helper.make_opsetid("", opset)]
    )


def save(model: ModelProto, path: Path, data_name: str) -> list[Path]:
    """Writes `path`, and `data_name` beside it when there are weights worth moving there. Returns the files.

    Consumes `model`: its weights are moved out. Shapes of inner values are dropped: files that onnxruntime quantized
    keep stale ones, which other runtimes refuse.
    """
    del model.graph.value_info[:]
    data = path.with_name(data_name)
    at = 0
    with data.open("wb") as file:
        for tensor in model.graph.initializer:
            content = _content(tensor)
            if len(content) < LEAST_EXTERNAL_BYTES:
                continue
            step = PAGE_BYTES if len(content) >= LARGE_BYTES else LINE_BYTES
            file.write(b"\0" * (-at % step))
            at += -at % step
            file.write(content)
            _point(tensor, data_name, at, len(content))
            at += len(content)
    if at == 0:
        data.unlink()
    path.write_bytes(model.SerializeToString(deterministic=True))
    return [path] if at == 0 else [path, data]


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
