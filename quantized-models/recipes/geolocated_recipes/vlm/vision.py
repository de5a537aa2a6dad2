"""The graph that turns a picture into tokens of the decoder's width, and the one that turns token numbers into them."""

import numpy as np
from onnx import TensorProto, helper

from geolocated_recipes.graph import INPUT as PIXELS
from geolocated_recipes.graph import Graph, TowerGraph
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.decoder import MICROSOFT, Ends
from geolocated_recipes.vlm.rotation import Rotation
from geolocated_recipes.vlm.shape import Rope

FEATURES = "image_features"
IDS, EMBEDDINGS = "input_ids", "inputs_embeds"


class _Vision:
    """What `TowerGraph` asks of a checkpoint."""

    def __init__(self, checkpoint: VlmCheckpoint):
        self.checkpoint, self.tower = checkpoint, checkpoint.shape.vision

    def tensor(self, name: str) -> np.ndarray:
        return self.checkpoint.tensor(name)


class VisionGraph(TowerGraph):
    """A SigLIP tower without its pooling head, and the connector of the architecture.

    In the grouped form its attention is ONNX Runtime's MultiHeadAttention, which never holds all scores at once.
    """

    def __init__(self, checkpoint: VlmCheckpoint, graph: Graph, form: str):
        super().__init__(_Vision(checkpoint))
        self.graph = graph
        self.weights, self.whole, self.form = checkpoint, checkpoint.shape, form

    def build(self) -> Graph:
        """Pixels `[1, 3, side, side]` to `[1, tokens, width of the decoder]`."""
        tokens = self._embed(PIXELS)
        for layer in range(self.tower.layers):
            tokens = self._layer(tokens, f"encoder.layers.{layer}")
        if self.whole.architecture == "llava_onevision":
            self._connect_projected(tokens)
        else:
            tokens = self._norm(tokens, "post_layernorm")
            connect = {"smolvlm": self._connect_shuffled, "gemma3": self._connect_pooled}
            connect[self.whole.architecture](tokens)
        return self.graph

    def ends(self) -> Ends:
        """Input and output with their shapes."""
        side, shape = self.tower.image_size, [1, self.whole.image_tokens, self.whole.text.hidden_size]
        return (
            [helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape)],
        )

    def _self_attention(self, tokens: str, base: str) -> str:
        if self.form == "plain":
            return super()._self_attention(tokens, base)
        parts = [self._linear(tokens, f"{base}.{part}_proj") for part in "qkv"]
        return self._linear(self._multi_head(parts, f"{base}.rows"), f"{base}.out_proj")

    def _multi_head(self, parts: list[str], name: str) -> str:
        return self.graph.add(
            "MultiHeadAttention", parts, name, domain=MICROSOFT, num_heads=self.tower.heads, unidirectional=0
        )

    def _squares(self, tokens: str) -> str:
        """Squares of `merge` x `merge` patches on axes of their own: `[1, row, column, row inside, column inside and
        numbers]`.
        """
        side, step = self.whole.side, self.whole.merge
        cut = self.graph.reshape(tokens, [1, side, step, side, step * self.tower.hidden_size], "connector.cut")
        return self.graph.add("Transpose", [cut], "connector.turned", perm=[0, 1, 3, 2, 4])

    def _joined(self, tokens: str) -> str:
        """Squares of patches as one long token each."""
        long = self.tower.hidden_size * self.whole.merge**2
        return self.graph.reshape(self._squares(tokens), [1, self.whole.side**2, long], "connector.joined")

    def _connect_shuffled(self, tokens: str) -> None:
        """SmolVLM: squares of patches through one linear layer."""
        long = self.tower.hidden_size * self.whole.merge**2
        weight = self.weights.tensor("connector.proj.weight", (self.whole.text.hidden_size, long))
        self.graph.add("MatMul", [self._joined(tokens), self.graph.constant("connector.weight", weight.T)], FEATURES)

    def _connect_projected(self, tokens: str) -> None:
        """LLaVA-OneVision: every patch through two linear layers, and a learned token at the end."""
        graph, width = self.graph, self.whole.text.hidden_size
        for name, size in (("linear_1", self.tower.hidden_size), ("linear_2", width)):
            weight = self.weights.tensor(f"connector.{name}.weight", (width, size))
            tokens = graph.linear(tokens, weight, self.weights.tensor(f"connector.{name}.bias", (width,)), name)
            if name == "linear_1":
                tokens = graph.activate(tokens, "gelu", "connector.act")
        newline = graph.constant("newline", self.weights.tensor("newline", (width,)).reshape(1, 1, width))
        graph.add("Concat", [tokens, newline], FEATURES, axis=1)

    def _connect_pooled(self, tokens: str) -> None:
        """Gemma 3: the mean of a square of patches, its root mean square norm, one linear layer."""
        graph, tower, shape = self.graph, self.tower, self.whole
        width, wide = tower.hidden_size, shape.text.hidden_size
        cut = [1, shape.side, shape.merge, shape.side, shape.merge, width]
        squares = graph.reshape(tokens, cut, "connector.squares")
        mean = graph.add("ReduceMean", [squares], "connector.mean", axes=[2, 4], keepdims=0)
        mean = graph.reshape(mean, [1, shape.image_tokens, width], "connector.rows")
        square = graph.add("Pow", [mean, graph.scalar("connector.two", 2.0)], "connector.square")
        square = graph.add("ReduceMean", [square], "connector.square.mean", axes=[-1], keepdims=1)
        square = graph.add("Add", [square, graph.scalar("connector.eps", tower.layer_norm_eps)], "connector.above")
        root = graph.add("Sqrt", [square], "connector.root")
        scaled = graph.add("Div", [mean, root], "connector.scaled")
        weight = self.weights.tensor("connector.mm_soft_emb_norm.weight", (width,)) + np.float32(1)
        scaled = graph.add("Mul", [scaled, graph.constant("connector.norm", weight)], "connector.normed")
        weight = self.weights.tensor("connector.mm_input_projection_weight", (width, wide))
        graph.add("MatMul", [scaled, graph.constant("connector.weight", weight)], FEATURES)


class Qwen2VisionGraph(VisionGraph):
    """Qwen2-VL's tower at one size of pictures: rows and columns of patches turn queries and keys.

    A picture is two equal frames there, so the weights of both are added up. Patches stand row by row: attention does
    not ask for their order, and squares of them are joined at the end.
    """

    def build(self) -> Graph:
        """Pixels `[1, 3, side, side]` to `[1, tokens, width of the decoder]`."""
        graph, tower = self.graph, self.tower
        self._angles()
        tokens = self._patches()
        for layer in range(tower.layers):
            tokens = self._layer(tokens, f"blocks.{layer}")
        joined = self._joined(graph.norm(tokens, *self._connector("ln_q"), tower.layer_norm_eps, "connector.ln_q"))
        inner = graph.linear(joined, *self._connector("mlp.0"), "connector.mlp.0")
        inner = graph.activate(inner, "gelu", "connector.mlp.act")
        weight, bias = self._connector("mlp.2")
        product = graph.add("MatMul", [inner, graph.constant("connector.mlp.2.weight", weight.T)], "connector.product")
        graph.add("Add", [product, graph.constant("connector.mlp.2.bias", bias)], FEATURES)
        return graph

    def _connector(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.weights.tensor(f"connector.{name}.weight"), self.weights.tensor(f"connector.{name}.bias")

    def _patches(self) -> str:
        graph, tower = self.graph, self.tower
        weight = self._tensor("patch_embed.proj.weight").sum(axis=2)
        side = tower.patch_size
        name = graph.constant("patch_embed.proj.weight", weight)
        patches = graph.add("Conv", [PIXELS, name], "patch_embed", kernel_shape=[side, side], strides=[side, side])
        rows = graph.reshape(patches, [1, tower.hidden_size, tower.patches], "patch_embed.rows")
        return graph.add("Transpose", [rows], "patch_embed.tokens", perm=[0, 2, 1])

    def _angles(self) -> None:
        """Half of the pairs of a head turn by the row, half by the column."""
        tower = self.tower
        side = tower.image_size // tower.patch_size
        self.rotation = Rotation(self.graph, Rope(10000.0), tower.head_size, 1, "rope")
        powers = np.arange(0, tower.head_size // 2, 2, dtype=np.float64) / (tower.head_size // 2)
        steps = np.arange(side, dtype=np.float64)[:, None] / 10000.0**powers
        self.rotation.constant(np.concatenate([np.repeat(steps, side, axis=0), np.tile(steps, (side, 1))], axis=1))

    def _layer(self, tokens: str, base: str) -> str:
        graph = self.graph
        attended = self._attention(self._norm(tokens, f"{base}.norm1"), f"{base}.attn")
        tokens = graph.add("Add", [tokens, attended], f"{base}.attended")
        return graph.add("Add", [tokens, self._mlp(self._norm(tokens, f"{base}.norm2"), f"{base}.mlp")], base)

    def _attention(self, tokens: str, base: str) -> str:
        graph, tower = self.graph, self.tower
        weights, biases = np.split(self._tensor(f"{base}.qkv.weight"), 3), np.split(self._tensor(f"{base}.qkv.bias"), 3)
        heads = [1, tower.patches, tower.heads, tower.head_size]
        parts = []
        for part, weight, bias in zip("qkv", weights, biases, strict=True):
            scale = np.float32(tower.head_size**-0.5 if part == "q" and self.form == "plain" else 1)
            rows = graph.linear(tokens, weight * scale, bias * scale, f"{base}.{part}")
            if part != "v":
                rows = self.rotation.turn(graph.reshape(rows, heads, f"{base}.{part}.cut"))
                if self.form == "grouped":
                    rows = graph.reshape(rows, [1, tower.patches, tower.hidden_size], f"{base}.{part}.rows")
            elif self.form == "plain":
                rows = graph.reshape(rows, heads, f"{base}.{part}.cut")
            parts.append(rows)
        if self.form == "grouped":
            mixed = self._multi_head(parts, f"{base}.rows")
        else:
            orders = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
            turned = [
                graph.add("Transpose", [part], f"{part}.heads", perm=order)
                for part, order in zip(parts, orders, strict=True)
            ]
            mixed = self._attend(*turned, tower.patches, base)
        return self._linear(mixed, f"{base}.proj")


def build_mini(checkpoint: VlmCheckpoint, graph: Graph) -> Ends:
    """The tower of the built-in comparator, whose tokens go through one linear layer. Returns inputs and outputs."""
    sizes = checkpoint.shape
    side, wide = sizes.vision.image_size, (sizes.text.hidden_size, sizes.vision.hidden_size)
    weight = graph.constant("connector.weight", checkpoint.tensor("connector.proj.weight", wide).T)
    graph.add("MatMul", [checkpoint.vision_tokens(graph), weight], FEATURES)
    shape = [1, sizes.image_tokens, sizes.text.hidden_size]
    return (
        [helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, shape)],
    )


def build_vision(checkpoint: VlmCheckpoint, graph: Graph, form: str) -> Ends:
    """The tower of the checkpoint's architecture. Returns inputs and outputs."""
    if checkpoint.shape.architecture == "mini":
        return build_mini(checkpoint, graph)
    kind = Qwen2VisionGraph if checkpoint.shape.architecture == "qwen2_vl" else VisionGraph
    tower = kind(checkpoint, graph, form)
    tower.build()
    return tower.ends()


def build_embedding(checkpoint: VlmCheckpoint, graph: Graph) -> Ends:
    """Token numbers `[1, n]` to rows of the embedding table. Returns inputs and outputs."""
    text = checkpoint.shape.text
    table = checkpoint.tensor("text.embed_tokens.weight", (text.vocabulary, text.hidden_size))
    if text.is_gemma:
        table = table * np.float32(text.hidden_size**0.5)
    graph.add("Gather", [graph.constant("embed_tokens.weight", table), IDS], EMBEDDINGS, axis=0)
    return (
        [helper.make_tensor_value_info(IDS, TensorProto.INT64, [1, "tokens"])],
        [helper.make_tensor_value_info(EMBEDDINGS, TensorProto.FLOAT, [1, "tokens", text.hidden_size])],
    )
