"""The graph of a trained tower, written straight from its weights; plain operators, batch 1."""

import numpy as np
from onnx import ModelProto, TensorProto, helper

from geolocated_recipes import onnx_file
from geolocated_recipes.graph import INPUT, IR_VERSION, OPSET, OUTPUT, Graph
from geolocated_recipes.mini.fronts import FIRST_ROW, LAST_ROW, SIDE, Polar
from geolocated_recipes.mini.network import Shape, distances

Weights = dict[str, np.ndarray]
ACTIVATION = "gelu_pytorch_tanh"
NORM_EPSILON = 1e-5
# As torch's normalize.
LEAST_LENGTH = 1e-12


class MiniGraph:
    """Builds one tower's graph. `front` is `plain`, `cut` (panoramas) or `bend` (tiles, for panoramas)."""

    def __init__(self, weights: Weights, shape: Shape, front: str, graph: Graph | None = None):
        self.weights, self.shape, self.front = weights, shape, front
        self.graph = graph or Graph()
        self.tokens, self.width, self.heads = shape.tokens, shape.width, shape.heads

    def write_tokens(self) -> str:
        """Pixels to tokens that have seen each other, `[1, tokens, width]`; returns their name."""
        graph = self.graph
        pictures = {"plain": self._plain, "cut": self._cut, "bend": self._bend}[self.front]()
        tokens = self._stem(pictures)
        if self.shape.is_placed:
            tokens = graph.add("Add", [tokens, graph.constant("positions", self.weights["positions"])], "placed")
        for block in range(self.shape.depth):
            tokens = self._block(tokens, f"blocks.{block}")
        return self._norm(tokens, "norm")

    def build(self) -> ModelProto:
        """Pixels to the vector of unit length."""
        graph = self.graph
        tokens = self.write_tokens()
        vector = self._columns(tokens) if self.shape.is_placed else self._pooled(tokens)
        self._unit(vector, "length", OUTPUT)
        columns = 2 * SIDE if self.front == "cut" else SIDE
        ends = (
            helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, SIDE, columns]),
            helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, self.shape.embedding]),
        )
        return onnx_file.model(graph.nodes, graph.weights, ends, OPSET, IR_VERSION)

    def _plain(self) -> str:
        return INPUT

    def _cut(self) -> str:
        names = ("first", "last", "axis")
        bounds = [
            self.graph.constant(f"cut.{name}", np.array([at], dtype=np.int64))
            for name, at in zip(names, (FIRST_ROW, LAST_ROW, 2), strict=True)
        ]
        return self.graph.add("Slice", [INPUT, *bounds], "cut")

    def _bend(self) -> str:
        graph, polar = self.graph, Polar()
        flat = graph.reshape(INPUT, [1, 3, SIDE * SIDE], "bend.flat")
        parts = []
        for at, (places, shares) in enumerate(zip(*polar.corners(), strict=True)):
            # tract counts what it makes of "bend" as bend.0 and on.
            name = f"bend.corner.{at}"
            taken = graph.add("Gather", [flat, graph.constant(f"{name}.places", places)], f"{name}.taken", axis=2)
            parts.append(graph.add("Mul", [taken, graph.constant(f"{name}.shares", shares)], name))
        total = parts[0]
        for at, part in enumerate(parts[1:]):
            total = graph.add("Add", [total, part], f"bend.sum.{at}")
        return graph.reshape(total, [1, 3, polar.rows, polar.columns], "bend")

    def _stem(self, pictures: str) -> str:
        graph = self.graph
        for at, count in enumerate(self.shape.residuals):
            size, stride = (7, 4) if at == 0 else (3, 2)
            pictures = graph.add("Relu", [self._convolution(pictures, f"stem.steps.{at}", size, stride)], f"stem.{at}")
            for residual in range(count):
                base = f"stem.stages.{at}.{residual}"
                inner = graph.add("Relu", [self._convolution(pictures, f"{base}.first", 3, 1)], f"{base}.inner")
                inner = self._convolution(inner, f"{base}.second", 3, 1)
                pictures = graph.add("Relu", [graph.add("Add", [pictures, inner], f"{base}.sum")], base)
        parts = [graph.constant(f"stem.out.{name}", self.weights[f"stem.out.{name}"]) for name in ("weight", "bias")]
        mixed = graph.add("Conv", [pictures, *parts], "stem.out", kernel_shape=[1, 1])
        rows = graph.reshape(mixed, [1, self.width, self.tokens], "stem.rows")
        return graph.add("Transpose", [rows], "stem.tokens", perm=[0, 2, 1])

    def _convolution(self, pictures: str, name: str, size: int, stride: int) -> str:
        parts = zip(("weight", "bias"), folded(self.weights, name, size), strict=True)
        parts = [self.graph.constant(f"{name}.{part}", array) for part, array in parts]
        sizes = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [size // 2] * 4}
        return self.graph.add("Conv", [pictures, *parts], name, **sizes)

    def _block(self, tokens: str, base: str) -> str:
        graph = self.graph
        normed = self._norm(tokens, f"{base}.norm_1")
        weight, bias = self._pair(f"{base}.attention.qkv")
        q, k, v = zip(np.split(weight, 3), np.split(bias, 3), strict=True)
        # The scale of the scores goes into the query's weights.
        scale = np.float32((self.width // self.heads) ** -0.5)
        name = f"{base}.attention"
        queries = self._heads(graph.linear(normed, q[0] * scale, q[1] * scale, f"{name}.q"), f"{name}.queries", False)
        keys = self._heads(graph.linear(normed, *k, f"{name}.k"), f"{name}.keys", True)
        values = self._heads(graph.linear(normed, *v, f"{name}.v"), f"{name}.values", False)
        reach = self.weights[f"{name}.reach"][:, :, distances(self.shape.grid)[0].numpy()]
        reach = graph.constant(f"{name}.reach", reach)
        mixed = self._attend(queries, keys, values, name, reach)
        tokens = graph.add("Add", [tokens, self._linear(mixed, f"{name}.out")], f"{base}.attended")
        inner = self._mlp(self._norm(tokens, f"{base}.norm_2"), f"{base}.mlp")
        return graph.add("Add", [tokens, inner], base)

    def _pooled(self, tokens: str) -> str:
        gain, bias = centring(self.weights)
        weight = (self.weights["project.weight"] * gain[:, None]).astype(np.float32)
        return self.graph.linear(self._pool(tokens), weight, bias, "project")

    def _columns(self, tokens: str) -> str:
        graph, (rows, columns) = self.graph, self.shape.grid
        grid = graph.reshape(tokens, [1, rows, columns, self.width], "columns.grid")
        turned = graph.add("Transpose", [grid], "columns.turned", perm=[0, 2, 1, 3])
        aside = graph.reshape(turned, [1, columns, rows * self.width], "columns.rows")
        weight = graph.constant("project.weight", self.weights["project.weight"].T)
        each = graph.add("MatMul", [aside, weight], "project")
        flat = graph.reshape(each, [1, self.shape.embedding], "columns.flat")
        gain, bias = centring(self.weights)
        scaled = graph.add("Mul", [flat, graph.constant("centre.gain", gain)], "centre.scaled")
        return graph.add("Add", [scaled, graph.constant("centre.bias", bias)], "centre")

    def _pool(self, tokens: str) -> str:
        graph, shape = self.graph, self.shape
        shares = graph.add("Softmax", [self._linear(tokens, "pool.assign")], "pool.shares", axis=-1)
        turned = graph.add("Transpose", [shares], "pool.turned", perm=[0, 2, 1])
        sums = graph.add("MatMul", [turned, self._linear(tokens, "pool.say")], "pool.sums")
        unit = self._unit(sums, "pool.length", "pool.unit")
        return graph.reshape(unit, [1, shape.clusters * shape.cluster_width], "pool.flat")

    def _unit(self, value: str, length: str, name: str) -> str:
        """The last axis to unit length."""
        found = self.graph.add("ReduceL2", [value], length, axes=[-1], keepdims=1)
        least = self.graph.scalar(f"{length}.least", LEAST_LENGTH)
        return self.graph.add("Div", [value, self.graph.add("Max", [found, least], f"{length}.bounded")], name)

    def _pair(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def _linear(self, value: str, name: str) -> str:
        return self.graph.linear(value, *self._pair(name), name)

    def _norm(self, value: str, name: str) -> str:
        return self.graph.norm(value, *self._pair(name), NORM_EPSILON, name)

    def _mlp(self, value: str, name: str) -> str:
        inner = self.graph.activate(self._linear(value, f"{name}.0"), ACTIVATION, f"{name}.act")
        return self._linear(inner, f"{name}.2")

    def _heads(self, value: str, name: str, is_key: bool) -> str:
        cut = self.graph.reshape(value, [1, self.tokens, self.heads, self.width // self.heads], f"{name}.cut")
        return self.graph.add("Transpose", [cut], name, perm=[0, 2, 3, 1] if is_key else [0, 2, 1, 3])

    def _attend(self, queries: str, keys: str, values: str, name: str, reach: str) -> str:
        graph = self.graph
        scores = graph.add("MatMul", [queries, keys], f"{name}.scores")
        reached = graph.add("Add", [scores, reach], f"{name}.reached")
        shares = graph.add("Softmax", [reached], f"{name}.shares", axis=-1)
        mixed = graph.add("MatMul", [shares, values], f"{name}.mixed")
        joined = graph.add("Transpose", [mixed], f"{name}.joined", perm=[0, 2, 1, 3])
        return graph.reshape(joined, [1, self.tokens, self.width], f"{name}.rows")


def centring(weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """The normalisation over the batch behind the projection: gain and bias, `[embedding]` each."""
    mean, variance = (weights[f"centre.running_{part}"].astype(np.float64) for part in ("mean", "var"))
    gain = 1 / np.sqrt(variance + NORM_EPSILON)
    return gain.astype(np.float32), (-mean * gain).astype(np.float32)


def folded(weights: Weights, name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A convolution without bias and the batch normalisation behind it as one convolution with bias."""
    matrix, norm = weights[f"{name}.weight"], f"{name}.norm"
    mean, variance = (weights[f"{norm}.running_{part}"].astype(np.float64) for part in ("mean", "var"))
    gain = weights[f"{norm}.weight"] / np.sqrt(variance + NORM_EPSILON)
    kernel = matrix.reshape(len(matrix), -1, size, size) * gain[:, None, None, None]
    return kernel.astype(np.float32), (weights[f"{norm}.bias"] - mean * gain).astype(np.float32)
