"""Variants of a graph: what weights are stored as, and what is computed with between layers."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from geolocated_recipes import onnx_file
from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.graph import IR_VERSION, OPSET, TowerGraph, ends

# Weights of one 4-bit scale.
BLOCK = 32
# 4-bit kernels may compute with 8-bit activations.
ACCURACY_LEVEL_INT8 = 4


@dataclass(frozen=True)
class Variant:
    """One way to store and run a model, and what it must reach. Bounds hold for trained models."""

    name: str
    weights: str
    """As `[quantization] weights` of the manifest."""
    activations: str
    make: Callable[[Checkpoint, Path], ModelProto]
    runtimes: tuple[str, ...]
    """Preferred first."""
    least_cosine: float
    """The median picture must reach this cosine to fp32."""
    most_recall_lost: float
    """Share of queries that may lose their true neighbour, at any K."""
    reduce_range: bool = False


def plain(checkpoint: Checkpoint, _: Path | None = None) -> ModelProto:
    """The fp32 graph."""
    return _written(checkpoint, np.float32)


def half(checkpoint: Checkpoint, _: Path) -> ModelProto:
    """Weights and layers in 16-bit floating point; input and output stay 32-bit."""
    model = _written(checkpoint, np.float16)
    for tensor in model.graph.initializer:
        if not np.isfinite(numpy_helper.to_array(tensor).astype(np.float32)).all():
            raise RecipeError(f"fp16: {tensor.name}: expected weights within 65504, found larger ones")
    return model


def dynamic_int8(reduce_range: bool) -> Callable[[Checkpoint, Path], ModelProto]:
    """8-bit matrix products; activations get their scale in every run. Convolutions stay fp32."""

    def make(_: Checkpoint, reference: Path) -> ModelProto:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with tempfile.TemporaryDirectory(dir=reference.parent) as folder:
            path = Path(folder) / "int8.onnx"
            quantize_dynamic(
                reference,
                path,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(path)

    return make


def weight_only_int8(checkpoint: Checkpoint, _: Path) -> ModelProto:
    """8-bit weights with a scale per output, widened before they are used: small files, no speed gained."""
    return widened(plain(checkpoint))


# Which axis of the second input of an operator is that of its outputs.
OUTPUTS = {"MatMul": 1, "Conv": 0}


def widened(model: ModelProto, kept: tuple[str, ...] = (), operators: tuple[str, ...] = ("MatMul",)) -> ModelProto:
    """The weights of `model`'s `operators`, but for the nodes `kept`, in 8 bits that a node widens before each use."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type in operators and node.input[1] in tensors and node.name not in kept:
            name, axis = node.input[1], OUTPUTS[node.op_type]
            array = numpy_helper.to_array(tensors[name])
            others = tuple(at for at in range(array.ndim) if at != axis)
            scales = np.abs(array).max(axis=others, keepdims=True) / np.float32(127)
            scales[scales == 0] = 1
            scale = scales.ravel()
            levels = np.clip(np.rint(array / scales), -127, 127).astype(np.int8)
            tensors[name].CopyFrom(numpy_helper.from_array(levels, name))
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
            wide = f"{name}.widened"
            nodes.append(helper.make_node("DequantizeLinear", [name, f"{name}.scale"], [wide], wide, axis=axis))
            node.input[1] = wide
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    return model


def blocks_of_4_bits(checkpoint: Checkpoint, _: Path) -> ModelProto:
    """4-bit weights in blocks, ONNX Runtime's MatMulNBits: an experiment, for disk space alone."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        plain(checkpoint), bits=4, block_size=BLOCK, is_symmetric=True, accuracy_level=ACCURACY_LEVEL_INT8
    )
    quantizer.process()
    return quantizer.model.model


ORT, TRACT = "onnxruntime", "tract"
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("fp32", "float32", "float32", plain, (ORT, TRACT), 1.0, 0.0),
        Variant("fp16", "float16", "float16", half, (ORT,), 0.9999, 0.0),
        Variant("int8", "int8", "int8_dynamic", dynamic_int8(False), (ORT, TRACT), 0.98, 0.02),
        Variant("int8-reduced", "int8", "int8_dynamic", dynamic_int8(True), (ORT, TRACT), 0.97, 0.02, True),
        Variant("int8-weights", "int8", "float32", weight_only_int8, (ORT, TRACT), 0.995, 0.01),
        Variant("int4-weights", "int4", "float32", blocks_of_4_bits, (ORT,), 0.95, 0.05),
    )
}


def _written(checkpoint: Checkpoint, dtype: type) -> ModelProto:
    graph = TowerGraph(checkpoint, dtype).build()
    return onnx_file.model(graph.nodes, graph.weights, ends(checkpoint), OPSET, IR_VERSION)
