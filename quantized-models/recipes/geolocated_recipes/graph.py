"""The graph of a vision tower, written straight from its weights.

Only operators that every supported runtime knows (opset 17, IR 8): no control flow, no shape arithmetic, batch 1. It
needs no deep-learning framework, and the same weights give the same bytes. Whether it computes what transformers
computes is what `reference.py` measures.
"""

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from geolocated_recipes.checkpoint import Checkpoint
from geolocated_recipes.onnx_file import DataFile

INPUT, OUTPUT, POOLED = "pixel_values", "embedding", "pooled"
OPSET, IR_VERSION = 17, 8


class Graph:
    """Nodes and weights, in the order in which they run. Every method that adds a node returns its output's name."""

    def __init__(self, dtype: type = np.float32, weights: DataFile | None = None):
        self.nodes = []
        self.weights: dict[str, np.ndarray] | DataFile = {} if weights is None else weights
        self.dtype = dtype

    def constant(self, name: str, array: np.ndarray) -> str:
        """A weight; floating-point ones in the graph's type."""
        is_float = array.dtype == np.float32
        self.weights[name] = np.ascontiguousarray(array.astype(self.dtype) if is_float else array)
        return name

    def scalar(self, name: str, value: float) -> str:
        """A constant without dimensions."""
        return name if name in self.weights else self.constant(name, np.array(value, dtype=np.float32))

    def add(self, operator: str, inputs: list[str], name: str, **attributes: object) -> str:
        """A node with one output; node and output carry the same name."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def reshape(self, value: str, shape: list[int], name: str) -> str:
        """`value` in another shape."""
        return self.add("Reshape", [value, self.constant(f"{name}.shape", np.array(shape, dtype=np.int64))], name)

    def linear(self, value: str, weight: np.ndarray, bias: np.ndarray, name: str) -> str:
        """`value @ weight.T + bias`; `weight` is `[outputs, inputs]` as in PyTorch."""
        product = self.add("MatMul", [value, self.constant(f"{name}.weight", weight.T)], f"{name}.product")
        return self.add("Add", [product, self.constant(f"{name}.bias", bias)], name)

    def norm(self, value: str, weight: np.ndarray, bias: np.ndarray, epsilon: float, name: str) -> str:
        """Layer normalisation over the last axis."""
        parts = [value, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        return self.add("LayerNormalization", parts, name, axis=-1, epsilon=epsilon)

    def activate(self, value: str, activation: str, name: str) -> str:
        """The activation, in the form that runtimes recognise and fuse."""
        if activation == "quick_gelu":
            scaled = self.add("Mul", [value, self.scalar("gelu.1_702", 1.702)], f"{name}.scaled")
            return self.add("Mul", [value, self.add("Sigmoid", [scaled], f"{name}.gate")], name)
        if activation == "gelu":
            scaled = self.add("Div", [value, self.scalar("gelu.sqrt_2", 2**0.5)], f"{name}.scaled")
            erf = self.add("Erf", [scaled], f"{name}.erf")
            gate = self.add("Add", [erf, self.scalar("gelu.1", 1.0)], f"{name}.gate")
            whole = self.add("Mul", [value, gate], f"{name}.whole")
            return self.add("Mul", [whole, self.scalar("gelu.0_5", 0.5)], name)
        cube = self.add("Pow", [value, self.scalar("gelu.3", 3.0)], f"{name}.cube")
        small = self.add("Mul", [cube, self.scalar("gelu.0_044715", 0.044715)], f"{name}.small")
        total = self.add("Add", [value, small], f"{name}.sum")
        scaled = self.add("Mul", [total, self.scalar("gelu.sqrt_2_pi", (2 / np.pi) ** 0.5)], f"{name}.scaled")
        tanh = self.add("Tanh", [scaled], f"{name}.tanh")
        gate = self.add("Add", [tanh, self.scalar("gelu.1", 1.0)], f"{name}.gate")
        half = self.add("Mul", [value, self.scalar("gelu.0_5", 0.5)], f"{name}.half")
        return self.add("Mul", [half, gate], name)


class TowerGraph:
    """Builds the graph of one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, dtype: type = np.float32):
        self.checkpoint, self.tower = checkpoint, checkpoint.tower
        self.graph = Graph(dtype)

    def build(self) -> Graph:
        """Pixels to the pooled vector (`pooled`) and the same at unit length (`embedding`), always float32."""
        graph, tower = self.graph, self.tower
        pixels = INPUT
        if graph.dtype != np.float32:
            pixels = graph.add("Cast", [INPUT], "pixel_values.cast", to=TensorProto.FLOAT16)
        tokens = self._embed(pixels)
        for layer in range(tower.layers):
            tokens = self._layer(tokens, f"encoder.layers.{layer}")
        pooled = self._pool_class(tokens) if tower.architecture == "clip" else self._pool_attention(tokens)
        if graph.dtype != np.float32:
            pooled = graph.add("Cast", [pooled], "pooled.cast", to=TensorProto.FLOAT)
        flat = graph.constant(f"{POOLED}.shape", np.array([1, self.checkpoint.dimensions], dtype=np.int64))
        graph.add("Reshape", [pooled, flat], POOLED)
        graph.add("ReduceL2", [POOLED], "length", axes=[-1], keepdims=1)
        graph.add("Div", [POOLED, "length"], OUTPUT)
        return graph

    def _tensor(self, name: str) -> np.ndarray:
        prefix = "" if name.startswith("visual_projection") else "vision_model."
        return self.checkpoint.tensor(prefix + name)

    def _pair(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self._tensor(f"{name}.weight"), self._tensor(f"{name}.bias")

    def _linear(self, value: str, name: str) -> str:
        return self.graph.linear(value, *self._pair(name), name)

    def _norm(self, value: str, name: str) -> str:
        return self.graph.norm(value, *self._pair(name), self.tower.layer_norm_eps, name)

    def _embed(self, pixels: str) -> str:
        graph, tower = self.graph, self.tower
        is_clip = tower.architecture == "clip"
        parts = ["weight"] if is_clip else ["weight", "bias"]
        base = "embeddings.patch_embedding"
        weights = [graph.constant(f"{base}.{part}", self._tensor(f"{base}.{part}")) for part in parts]
        side = tower.patch_size
        patches = graph.add("Conv", [pixels, *weights], base, kernel_shape=[side, side], strides=[side, side])
        rows = graph.reshape(patches, [1, tower.hidden_size, tower.patches], f"{base}.rows")
        tokens = graph.add("Transpose", [rows], f"{base}.tokens", perm=[0, 2, 1])
        positions = self._tensor("embeddings.position_embedding.weight")[np.newaxis]
        if is_clip:
            name = graph.constant("embeddings.class_embedding", self._tensor("embeddings.class_embedding")[None, None])
            tokens = graph.add("Concat", [name, tokens], "embeddings.tokens", axis=1)
        name = graph.constant("embeddings.position_embedding", positions)
        tokens = graph.add("Add", [tokens, name], "embeddings")
        return self._norm(tokens, "pre_layrnorm") if is_clip else tokens

    def _layer(self, tokens: str, base: str) -> str:
        graph = self.graph
        normed = self._norm(tokens, f"{base}.layer_norm1")
        attended = self._self_attention(normed, f"{base}.self_attn")
        tokens = graph.add("Add", [tokens, attended], f"{base}.attended")
        normed = self._norm(tokens, f"{base}.layer_norm2")
        return graph.add("Add", [tokens, self._mlp(normed, f"{base}.mlp")], base)

    def _mlp(self, value: str, base: str) -> str:
        inner = self._linear(value, f"{base}.fc1")
        return self._linear(self.graph.activate(inner, self.tower.activation, f"{base}.act"), f"{base}.fc2")

    def _self_attention(self, tokens: str, base: str) -> str:
        tower = self.tower
        # The scale of the scores goes into the query's weights: one multiplication of all scores less.
        scale = np.float32(tower.head_size**-0.5)
        weight, bias = self._pair(f"{base}.q_proj")
        queries = self.graph.linear(tokens, weight * scale, bias * scale, f"{base}.q_proj")
        queries = self._heads(queries, f"{base}.queries", [0, 2, 1, 3])
        keys = self._heads(self._linear(tokens, f"{base}.k_proj"), f"{base}.keys", [0, 2, 3, 1])
        values = self._heads(self._linear(tokens, f"{base}.v_proj"), f"{base}.values", [0, 2, 1, 3])
        mixed = self._attend(queries, keys, values, tower.tokens, base)
        return self._linear(mixed, f"{base}.out_proj")

    def _heads(self, value: str, name: str, order: list[int]) -> str:
        """`[1, tokens, width]` cut into heads, axes in `order` of (batch, token, head, number)."""
        tower = self.tower
        cut = self.graph.reshape(value, [1, tower.tokens, tower.heads, tower.head_size], f"{name}.cut")
        return self.graph.add("Transpose", [cut], name, perm=order)

    def _attend(self, queries: str, keys: str, values: str, rows: int, base: str) -> str:
        graph = self.graph
        scores = graph.add("MatMul", [queries, keys], f"{base}.scores")
        weights = graph.add("Softmax", [scores], f"{base}.weights", axis=-1)
        mixed = graph.add("MatMul", [weights, values], f"{base}.mixed")
        joined = graph.add("Transpose", [mixed], f"{base}.joined", perm=[0, 2, 1, 3])
        return graph.reshape(joined, [1, rows, self.tower.hidden_size], f"{base}.rows")

    def _pool_class(self, tokens: str) -> str:
        """CLIP: the class token, normalised and projected."""
        graph = self.graph
        first = graph.constant("class.index", np.array([0], dtype=np.int64))
        last = graph.constant("class.end", np.array([1], dtype=np.int64))
        token = graph.add("Slice", [tokens, first, last, last], "class.token")
        normed = self._norm(token, "post_layernorm")
        weight = graph.constant("visual_projection.weight", self._tensor("visual_projection.weight").T)
        return graph.add("MatMul", [normed, weight], "visual_projection")

    def _pool_attention(self, tokens: str) -> str:
        """SigLIP: a learned probe attends to all tokens. Its query does not depend on the picture: a constant."""
        graph, tower = self.graph, self.tower
        width, scale = tower.hidden_size, np.float32(tower.head_size**-0.5)
        tokens = self._norm(tokens, "post_layernorm")
        weights = np.split(self._tensor("head.attention.in_proj_weight"), 3)
        biases = np.split(self._tensor("head.attention.in_proj_bias"), 3)
        # In float64, so that the rounded result is the same on every CPU.
        probe = self._tensor("head.probe").reshape(1, width).astype(np.float64)
        probe = ((probe @ weights[0].T.astype(np.float64) + biases[0]) * scale).astype(np.float32)
        queries = graph.constant("head.queries", probe.reshape(1, tower.heads, 1, tower.head_size))
        keys = graph.linear(tokens, weights[1], biases[1], "head.k_proj")
        values = graph.linear(tokens, weights[2], biases[2], "head.v_proj")
        keys = self._heads(keys, "head.keys", [0, 2, 3, 1])
        values = self._heads(values, "head.values", [0, 2, 1, 3])
        mixed = self._attend(queries, keys, values, 1, "head")
        attended = self._linear(mixed, "head.attention.out_proj")
        normed = self._norm(attended, "head.layernorm")
        return graph.add("Add", [attended, self._mlp(normed, "head.mlp")], "head.pooled")


def ends(checkpoint: Checkpoint) -> tuple[ValueInfoProto, ValueInfoProto]:
    """Input and output of the graph with their shapes."""
    side = checkpoint.tower.image_size
    return (
        helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, side, side]),
        helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, checkpoint.dimensions]),
    )
