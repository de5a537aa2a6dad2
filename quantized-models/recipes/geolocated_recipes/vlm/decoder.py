"""The graph of a decoder with past keys and values: embeddings in, logits of the last position out.

Two forms of the same arithmetic. `grouped` uses ONNX Runtime's GroupQueryAttention. `plain` uses operators that every
runtime knows. Positions follow from the length of the past, so the caller gives embeddings and keys and values, nothing
else; unless it says positions itself, `position_ids`.
"""

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from geolocated_recipes.errors import RecipeError
from geolocated_recipes.graph import Graph
from geolocated_recipes.vlm.checkpoint import VlmCheckpoint
from geolocated_recipes.vlm.rotation import Rotation

INPUT, POSITIONS, LOGITS = "inputs_embeds", "position_ids", "logits"
MICROSOFT = "com.microsoft"
Ends = tuple[list[ValueInfoProto], list[ValueInfoProto]]
"""Inputs and outputs of a graph."""
# Added to the score of a position that may not be seen; far below any score, and finite when doubled.
UNSEEN = -1e30
# Prompts of comparisons are shorter; each position costs `head_size` numbers in the graph.
MOST_POSITIONS = 4096


def past(layer: int | str, part: str) -> str:
    """Input with the keys or values of the tokens before, `[1, kv_heads, past, head_size]`."""
    return f"past_key_values.{layer}.{part}"


def present(layer: int | str, part: str) -> str:
    """Output with those of all tokens up to here, `[1, kv_heads, total, head_size]`."""
    return f"present.{layer}.{part}"


class DecoderGraph:
    """Builds the graph of one checkpoint.

    `rows` are the tokens whose logits are wanted, all without it. `takes_positions` adds the input `position_ids`, for
    blocks whose past is not all that stands before them; decoders that turn by time, row and column always have it.
    """

    def __init__(
        self,
        checkpoint: VlmCheckpoint,
        graph: Graph,
        form: str,
        rows: list[int] | None = None,
        takes_positions: bool = False,
    ):
        self.checkpoint, self.text = checkpoint, checkpoint.shape.text
        self.form, self.rows = form, rows
        self.axes = 3 if checkpoint.shape.grid else 1
        self.takes_positions = takes_positions or self.axes == 3
        self.graph = graph
        if form == "grouped" and self.text.is_gemma:
            # Its pictures are seen as a whole, and GroupQueryAttention looks back only.
            raise RecipeError("gemma3: expected --plain: GroupQueryAttention hides what comes later in a picture")
        # GroupQueryAttention turns by one position itself.
        self.turns_inside = form == "grouped" and self.axes == 1
        positions = min(self.text.positions, MOST_POSITIONS)
        self.rotation = Rotation(self.graph, self.text.rope, self.text.head_size, positions, "rope")
        self.local = None
        if self.text.local_rope:
            self.local = Rotation(self.graph, self.text.local_rope, self.text.head_size, positions, "rope.local")
        self.positions = positions

    def build(self) -> Ends:
        """All layers, and the head over the last position. Returns inputs and outputs with their shapes."""
        graph = self.graph
        self._lengths()
        tokens = INPUT
        for layer in range(self.text.layers):
            tokens = self._layer(tokens, layer)
        normed = self._norm(tokens, "norm")
        weight = self.checkpoint.rows() if self.rows is None else self.checkpoint.rows()[self.rows]
        graph.add("MatMul", [normed, graph.constant("lm_head.weight", weight.T)], LOGITS)
        return self._ends()

    def _ends(self) -> Ends:
        text = self.text

        def cache(name: str, length: str) -> ValueInfoProto:
            shape = [1, text.kv_heads, length, text.head_size]
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        pairs = [(layer, part) for layer in range(text.layers) for part in ("key", "value")]
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, "tokens", text.hidden_size])]
        if self.takes_positions:
            shape = [3, 1, "tokens"] if self.axes == 3 else [1, "tokens"]
            inputs.append(helper.make_tensor_value_info(POSITIONS, TensorProto.INT64, shape))
        inputs += [cache(past(*pair), "past") for pair in pairs]
        rows = text.vocabulary if self.rows is None else len(self.rows)
        outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, 1, rows])]
        return inputs, outputs + [cache(present(*pair), "total") for pair in pairs]

    def _lengths(self) -> None:
        """`past`, `total` as one number each, and what positions need."""
        graph = self.graph
        for name, at in (("axis.0", 0), ("axis.1", 1), ("axis.2", 2), ("last", -1)):
            graph.constant(name, np.array([at], dtype=np.int64))
        graph.constant("end", np.array([np.iinfo(np.int64).max], dtype=np.int64))
        graph.add("Gather", [graph.add("Shape", [INPUT], "tokens.shape"), "axis.1"], "tokens", axis=0)
        shape = graph.add("Shape", [past(0, "key")], "past.shape")
        graph.add("Gather", [shape, "axis.2"], "past", axis=0)
        graph.add("Add", ["past", "tokens"], "total")
        if self.form == "grouped":
            self._grouped_lengths()
        else:
            self._masks()
        if self.turns_inside:
            self.rotation.halves()
        elif self.takes_positions:
            self._by_positions()
        else:
            self.rotation.by_range("past", "total")

    def _by_positions(self) -> None:
        if self.axes == 1:
            self.rotation.by_positions([POSITIONS])
            return
        names = [f"{POSITIONS}.{axis}" for axis in ("time", "row", "column")]
        for at, name in enumerate(names):
            index = self.graph.constant(f"{name}.index", np.array([at], dtype=np.int64))
            one = self.graph.add("Gather", [POSITIONS, index], f"{name}.one", axis=0)
            self.graph.reshape(one, [1, -1], name)
        # Gemma 3 counts by row, the built-in comparator by time.
        counted = names[:1] if self.text.hides_own_picture else names[1:2]
        self.rotation.by_positions(names if self.text.rope.sections else counted)
        if self.local:
            self.local.by_positions(names[1:2])

    def _grouped_lengths(self) -> None:
        graph = self.graph
        one = graph.constant("one", np.array([1], dtype=np.int64))
        before = graph.add("Sub", ["total", one], "total.before")
        graph.add("Cast", [before], "seqlens_k", to=TensorProto.INT32)
        scalar = graph.constant("scalar", np.array([], dtype=np.int64))
        flat = graph.add("Reshape", ["total", scalar], "total.scalar")
        graph.add("Cast", [flat], "total_sequence_length", to=TensorProto.INT32)

    def _masks(self) -> None:
        """What is added to scores: of what comes later and, in Gemma 3's local layers, of what is far."""
        graph = self.graph
        counted = graph.constant("counted", np.arange(self.positions, dtype=np.float32))
        rows = graph.add("Slice", [counted, "past", "total", "axis.0"], "rows")
        rows = graph.add("Unsqueeze", [rows, "axis.1"], "rows.column")
        columns = graph.add("Slice", [counted, "axis.0", "total", "axis.0"], "columns")
        columns = graph.add("Unsqueeze", [columns, "axis.0"], "columns.row")
        hidden = graph.add("Greater", [columns, rows], "later")
        if self.text.is_gemma:
            hidden = self._of_other_pictures(hidden)
        if self.text.hides_own_picture:
            hidden = self._or_of_own_picture(hidden)
        unseen, seen = graph.scalar("unseen", UNSEEN), graph.scalar("seen", 0.0)
        graph.add("Where", [hidden, unseen, seen], "mask")
        if self.local:
            distance = graph.add("Sub", [rows, columns], "distance")
            window = graph.scalar("window", float(self.text.window) - 0.5)
            far = graph.add("Greater", [distance, window], "far")
            graph.add("Where", [graph.add("Or", [hidden, far], "hidden.local"), unseen, seen], "mask.local")

    def _of_other_pictures(self, later: str) -> str:
        """Later tokens, but for those of one picture, which share their time."""
        other = self.graph.add("Not", [self._of_one_time()], "times.other")
        # Tokens of the past are no later ones, whatever stands for them here.
        return self.graph.add("And", [later, self._with_past(other, True)], "later.other")

    def _or_of_own_picture(self, later: str) -> str:
        """Later tokens, and those of the picture that a token belongs to. Words have a time of their own, and so has
        the first token of a picture a column and a row that equal it."""
        graph, names = self.graph, [f"{POSITIONS}.{axis}" for axis in ("time", "row", "column")]
        beside = [graph.add("Greater", [name, names[0]], f"{name}.beside") for name in names[1:]]
        inside = graph.reshape(graph.add("Or", beside, "inside.row"), [-1, 1], "inside")
        own = graph.add("And", [self._of_one_time(), inside], "times.own")
        return graph.add("Or", [later, self._with_past(own, False)], "later.own")

    def _of_one_time(self) -> str:
        """Which tokens of this call share their time, `[tokens, tokens]`."""
        graph = self.graph
        times = graph.reshape(f"{POSITIONS}.time", [-1], "times")
        column = graph.add("Unsqueeze", [times, "axis.1"], "times.column")
        row = graph.add("Unsqueeze", [times, "axis.0"], "times.row")
        return graph.add("Equal", [column, row], "times.equal")

    def _with_past(self, present: str, of_past: bool) -> str:
        """`[tokens, tokens]` to `[tokens, total]`."""
        graph = self.graph
        shape = graph.add("Concat", ["tokens", "past"], "times.past.shape", axis=0)
        before = graph.add("Expand", [graph.constant("of.past", np.array(of_past)), shape], "times.past")
        return graph.add("Concat", [before, present], "times.all", axis=1)

    def _norm(self, value: str, name: str, width: int = 0, scale: float = 1.0) -> str:
        """Division by the root of the mean square, in the form that runtimes recognise and fuse."""
        graph = self.graph
        square = graph.add("Pow", [value, graph.scalar("two", 2.0)], f"{name}.square")
        mean = graph.add("ReduceMean", [square], f"{name}.mean", axes=[-1], keepdims=1)
        above = graph.add("Add", [mean, graph.scalar("norm.epsilon", self.text.norm_eps)], f"{name}.above")
        root = graph.add("Sqrt", [above], f"{name}.root")
        scaled = graph.add("Div", [value, root], f"{name}.scaled")
        weight = self.checkpoint.tensor(f"text.{name}.weight", (width or self.text.hidden_size,))
        weight = (weight + np.float32(self.text.is_gemma)) * np.float32(scale)
        return graph.add("Mul", [scaled, graph.constant(f"{name}.weight", weight)], name)

    def _layer(self, tokens: str, layer: int) -> str:
        graph, base = self.graph, f"layers.{layer}"
        mixed = self._attention(self._norm(tokens, f"{base}.input_layernorm"), layer)
        if layer == self.text.layers - 1:
            # Only the last position goes on: nobody asks for the others.
            mixed = graph.add("Slice", [mixed, "last", "end", "axis.1"], "last.mixed")
            tokens = graph.add("Slice", [tokens, "last", "end", "axis.1"], "last.tokens")
        weight = self.checkpoint.tensor(
            f"text.{base}.self_attn.o_proj.weight", (self.text.hidden_size, self.text.heads * self.text.head_size)
        )
        attended = graph.add("MatMul", [mixed, graph.constant(f"{base}.o_proj.weight", weight.T)], f"{base}.o_proj")
        before = "post_attention_layernorm"
        if self.text.is_gemma:
            attended, before = self._norm(attended, f"{base}.{before}"), "pre_feedforward_layernorm"
        tokens = graph.add("Add", [tokens, attended], f"{base}.attended")
        inner = self._mlp(self._norm(tokens, f"{base}.{before}"), base)
        if self.text.is_gemma:
            inner = self._norm(inner, f"{base}.post_feedforward_layernorm")
        return graph.add("Add", [tokens, inner], base)

    def _mlp(self, value: str, base: str) -> str:
        graph, text = self.graph, self.text
        wide = (text.intermediate_size, text.hidden_size)
        both = np.concatenate(
            [self.checkpoint.tensor(f"text.{base}.mlp.{part}.weight", wide) for part in ("gate_proj", "up_proj")]
        )
        # One product for both: its input is read, and quantized, once.
        both = graph.add("MatMul", [value, graph.constant(f"{base}.gate_up.weight", both.T)], f"{base}.gate_up")
        gate, up = self._split(both, [text.intermediate_size] * 2, [f"{base}.gate", f"{base}.up"])
        if text.activation == "silu":
            soft = graph.add("Sigmoid", [gate], f"{base}.sigmoid")
            gate = graph.add("Mul", [gate, soft], f"{base}.silu")
        else:
            gate = graph.activate(gate, text.activation, f"{base}.act")
        inner = graph.add("Mul", [gate, up], f"{base}.inner")
        down = self.checkpoint.tensor(f"text.{base}.mlp.down_proj.weight", wide[::-1])
        return graph.add("MatMul", [inner, graph.constant(f"{base}.down.weight", down.T)], f"{base}.down")

    def _split(self, value: str, sizes: list[int], names: list[str]) -> list[str]:
        """`value` cut along its last axis."""
        lengths = self.graph.constant(f"{value}.sizes", np.array(sizes, dtype=np.int64))
        self.graph.nodes.append(helper.make_node("Split", [value, lengths], names, name=f"{value}.split", axis=-1))
        return names

    def _attention(self, value: str, layer: int) -> str:
        """Queries, keys and values in one product, then attention over past and present tokens."""
        graph, text, base = self.graph, self.text, f"layers.{layer}.self_attn"
        sizes = [text.heads * text.head_size] + [text.kv_heads * text.head_size] * 2
        weights, biases = [], []
        for part, size in zip("qkv", sizes, strict=True):
            # In the plain form the scale of the scores goes into the queries' weights, or into their norm's.
            is_scaled = part == "q" and self.form == "plain" and not text.is_gemma
            scale = np.float32(text.score_scale if is_scaled else 1)
            name = f"text.{base}.{part}_proj"
            weights.append(self.checkpoint.tensor(f"{name}.weight", (size, text.hidden_size)) * scale)
            if text.has_bias:
                biases.append(self.checkpoint.tensor(f"{name}.bias", (size,)) * scale)
        weight = graph.constant(f"{base}.qkv.weight", np.concatenate(weights).T)
        joined = graph.add("MatMul", [value, weight], f"{base}.qkv")
        if biases:
            bias = graph.constant(f"{base}.qkv.bias", np.concatenate(biases))
            joined = graph.add("Add", [joined, bias], f"{base}.qkv.biased")
        if self.turns_inside:
            return self._grouped([joined, "", ""], layer, base)
        queries, keys, values = self._split(joined, sizes, [f"{base}.{part}" for part in "qkv"])
        queries, keys = (
            self._turned(part, heads, layer, f"{base}.{name}")
            for part, heads, name in ((queries, text.heads, "q_norm"), (keys, text.kv_heads, "k_norm"))
        )
        if self.form == "grouped":
            flat = [
                graph.reshape(part, [1, -1, size], f"{part}.flat")
                for part, size in zip((queries, keys), sizes, strict=False)
            ]
            return self._grouped([*flat, values], layer, base)
        values = graph.reshape(values, [1, -1, text.kv_heads, text.head_size], f"{values}.cut")
        return self._plain(queries, keys, values, layer, base)

    def _turned(self, value: str, heads: int, layer: int, norm: str) -> str:
        """Queries or keys cut into heads, normed where the architecture does it, each turned by its position."""
        cut = self.graph.reshape(value, [1, -1, heads, self.text.head_size], f"{value}.cut")
        if self.text.is_gemma:
            scale = self.text.score_scale if norm.endswith("q_norm") else 1.0
            cut = self._norm(cut, norm, self.text.head_size, scale)
        rotation = self.local if self.local and self.text.is_local(layer) else self.rotation
        return rotation.turn(cut)

    def _grouped(self, parts: list[str], layer: int, base: str) -> str:
        inputs = [*parts, past(layer, "key"), past(layer, "value"), "seqlens_k", "total_sequence_length"]
        if self.turns_inside:
            inputs += ["rope.cos", "rope.sin"] + ([POSITIONS] if self.takes_positions else [])
        outputs = [f"{base}.mixed", present(layer, "key"), present(layer, "value")]
        node = helper.make_node(
            "GroupQueryAttention",
            inputs,
            outputs,
            name=base,
            domain=MICROSOFT,
            num_heads=self.text.heads,
            kv_num_heads=self.text.kv_heads,
            do_rotary=int(self.turns_inside),
            rotary_interleaved=0,
        )
        self.graph.nodes.append(node)
        return outputs[0]

    def _plain(self, queries: str, keys: str, values: str, layer: int, base: str) -> str:
        graph, text = self.graph, self.text
        queries, keys, values = (
            graph.add("Transpose", [part], f"{part}.heads", perm=[0, 2, 1, 3]) for part in (queries, keys, values)
        )
        keys = graph.add("Concat", [past(layer, "key"), keys], present(layer, "key"), axis=2)
        values = graph.add("Concat", [past(layer, "value"), values], present(layer, "value"), axis=2)
        group, size = text.heads // text.kv_heads, text.head_size
        # Queries of one group share keys and values: an axis of their own, that those are repeated along.
        queries = graph.reshape(queries, [text.kv_heads, group, -1, size], f"{base}.grouped")
        keys = graph.add("Transpose", [keys], f"{base}.turned", perm=[1, 0, 3, 2])
        values = graph.add("Transpose", [values], f"{base}.shared", perm=[1, 0, 2, 3])
        scores = graph.add("MatMul", [queries, keys], f"{base}.scores")
        mask = "mask.local" if self.local and text.is_local(layer) else "mask"
        masked = graph.add("Add", [scores, mask], f"{base}.masked")
        weights = graph.add("Softmax", [masked], f"{base}.weights", axis=-1)
        mixed = graph.add("MatMul", [weights, values], f"{base}.values.mixed")
        mixed = graph.reshape(mixed, [1, text.heads, -1, size], f"{base}.heads")
        mixed = graph.add("Transpose", [mixed], f"{base}.joined", perm=[0, 2, 1, 3])
        return graph.reshape(mixed, [1, -1, text.heads * size], f"{base}.mixed")
