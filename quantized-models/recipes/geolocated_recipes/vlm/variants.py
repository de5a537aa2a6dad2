"""Variants of a comparator: what its weights are stored as, and with which operators its decoder is written."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from geolocated_recipes import onnx_file
from geolocated_recipes.errors import RecipeError
from geolocated_recipes.graph import IR_VERSION, OPSET, Graph
from geolocated_recipes.quantize import ACCURACY_LEVEL_INT8, BLOCK, widened
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.decoder import MICROSOFT, DecoderGraph
from geolocated_recipes.vlm.vision import build_embedding, build_vision

VISION, EMBEDDING, DECODER = "vision_encoder", "embed_tokens", "decoder"
FILES = {
    VISION: "vision_encoder.onnx",
    EMBEDDING: "embed_tokens.onnx",
    DECODER: "decoder_model_merged.onnx",
}
# The last product of a layer of a decoder. Trained decoders are known for a few inputs of it far larger than the rest:
# with one scale for all, little is left of those.
DOWN = ".down"
# Columns of a product that is not worth quantizing.
FEW = 32
Quantize = Callable[[Path], ModelProto]


@dataclass(frozen=True)
class Variant:
    """One way to store and run a comparator."""

    name: str
    decoder: Quantize | None
    vision: Quantize | None
    weights: str
    """As `[quantization] weights` of the manifest: of the decoder."""
    vision_weights: str
    activations: str
    least_signs: float = 1.0
    """Share of comparisons that must keep their answer, of trained models."""
    reduce_range: bool = False


def dynamic_int8(reduce_range: bool, spared: str | None = None) -> Quantize:
    """8-bit matrix products; activations get their scale in every run. Convolutions stay fp32, and products whose name
    ends with `spared`.
    """

    def make(path: Path) -> ModelProto:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            target = Path(folder) / "int8.onnx"
            quantize_dynamic(
                path,
                target,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=reduce_range,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_kept(path, spared),
                # The type of what GroupQueryAttention gives, which ONNX's own inference does not know.
                extra_options={"DefaultTensorType": TensorProto.FLOAT},
            )
            return onnx.load(target)

    return make


def widened_int8(path: Path) -> ModelProto:
    """8-bit weights, widened before they are used. A stem of several convolutions holds most of a tower's weights."""
    model = onnx_file.load(path)
    convolutions = sum(node.op_type == "Conv" for node in model.graph.node)
    return widened(model, tuple(_kept(path)), ("MatMul", "Conv") if convolutions > 1 else ("MatMul",))


def _kept(path: Path, spared: str | None = None) -> list[str]:
    """Products that stay float32: those of a few rows cost nothing, and the answer depends on them alone."""
    graph = onnx.load(path, load_external_data=False).graph
    columns = {tensor.name: tensor.dims[-1] for tensor in graph.initializer if tensor.dims}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    few = [node.name for node in products if columns.get(node.input[1], FEW + 1) <= FEW]
    return few + [node.name for node in products if spared and node.name.endswith(spared)]


def blocks_of_4_bits(path: Path) -> ModelProto:
    """4-bit weights in blocks, ONNX Runtime's MatMulNBits."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(
        onnx_file.load(path),
        bits=4,
        block_size=BLOCK,
        is_symmetric=True,
        accuracy_level=ACCURACY_LEVEL_INT8,
        nodes_to_exclude=_kept(path),
    )
    quantizer.process()
    return quantizer.model.model


def half_table(path: Path) -> ModelProto:
    """The embedding table in 16-bit floating point: the largest file otherwise, and few rows of it are ever read."""
    model = onnx_file.load(path)
    (table,), (gather,) = model.graph.initializer, model.graph.node
    array = numpy_helper.to_array(table).astype(np.float16)
    if not np.isfinite(array).all():
        raise RecipeError(f"{table.name}: expected numbers within 65504, found larger ones")
    table.CopyFrom(numpy_helper.from_array(array, table.name))
    output, gather.output[0] = gather.output[0], "rows"
    model.graph.node.append(helper.make_node("Cast", ["rows"], [output], name="widened", to=TensorProto.FLOAT))
    return model


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("fp32", None, None, "float32", "float32", "float32"),
        Variant("int8", dynamic_int8(False), dynamic_int8(False), "int8", "int8", "int8_dynamic", 0.95),
        Variant("int8-reduced", dynamic_int8(True), dynamic_int8(True), "int8", "int8", "int8_dynamic", 0.95, True),
        Variant("int8-mixed", dynamic_int8(False, DOWN), dynamic_int8(False), "int8", "int8", "int8_dynamic", 0.95),
        Variant("int8-weights", widened_int8, widened_int8, "int8", "int8", "float32", 0.95),
        Variant("int4", blocks_of_4_bits, dynamic_int8(False), "int4", "int8", "int8_dynamic", 0.9),
    )
}


def write(checkpoint: VlmCheckpoint, folder: Path, form: str, rows: list[int] | None, takes_positions: bool) -> None:
    """The three graphs in float32, weight by weight."""
    opsets = {"": OPSET, **({MICROSOFT: 1} if form == "grouped" else {})}
    for name in FILES:
        path = folder / FILES[name]
        data = onnx_file.DataFile(folder / f"{FILES[name]}.data")
        graph = Graph(weights=data)
        if name == VISION:
            ends = build_vision(checkpoint, graph, form)
        elif name == EMBEDDING:
            ends = build_embedding(checkpoint, graph)
        else:
            ends = DecoderGraph(checkpoint, graph, form, rows, takes_positions).build()
        used = {"": OPSET} if name == EMBEDDING else opsets
        model = onnx_file.named_model(name, graph.nodes, data, ends, used, IR_VERSION)
        onnx_file.save_moved(model, path, data)


def quantize(variant: Variant, base: Path, folder: Path) -> None:
    """The graphs of `base`, float32, as the variant stores them."""
    for name, make in ((VISION, variant.vision), (EMBEDDING, half_table), (DECODER, variant.decoder)):
        path = base / FILES[name]
        model = make(path) if make else onnx_file.load(path)
        onnx_file.save(model, folder / FILES[name], f"{FILES[name]}.data")
