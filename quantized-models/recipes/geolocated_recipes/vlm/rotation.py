"""Rotary positions: each pair of numbers of a head is turned by an angle that grows with the token's position."""

import numpy as np
from onnx import helper

from geolocated_recipes.graph import Graph
from geolocated_recipes.vlm.shape import Rope


def angles(rope: Rope, head_size: int, positions: int) -> np.ndarray:
    """The angle of each pair at each position, `[positions, head_size / 2]`; float64: every CPU rounds alike."""
    powers = np.arange(0, head_size, 2, dtype=np.float64) / head_size
    return np.arange(positions, dtype=np.float64)[:, None] / (rope.factor * rope.theta**powers)


class Rotation:
    """Tables of cosines and sines, and the nodes that use them. Values are `[1, tokens, heads, head_size]`."""

    def __init__(self, graph: Graph, rope: Rope, head_size: int, positions: int, name: str):
        self.graph, self.rope, self.name = graph, rope, name
        self.half = head_size // 2
        self.angles = angles(rope, head_size, positions)

    def halves(self) -> None:
        """The tables as GroupQueryAttention takes them: `NAME.cos` and `NAME.sin`."""
        for part, table in self._tables().items():
            self.graph.constant(f"{self.name}.{part}", table.astype(np.float32))

    def by_range(self, first: str, end: str) -> None:
        """Positions `first` to `end`, each a name of one number."""
        axis = self._constant("axis", [0])
        for part, table in self._whole().items():
            rows = self.graph.constant(f"{self.name}.{part}", table)
            cut = self.graph.add("Slice", [rows, first, end, axis], f"{self.name}.{part}.tokens")
            self.graph.add("Unsqueeze", [cut, self._constant("heads", [1])], self._name(part))

    def by_positions(self, positions: list[str]) -> None:
        """Positions `[1, tokens]`: one, or one for each section of the pairs."""
        sections = self.rope.sections if len(positions) > 1 else (self.half,)
        graph, cuts = self.graph, np.cumsum((0, *sections))
        for part, table in self._tables().items():
            pieces = []
            for at, name in enumerate(positions):
                rows = table[:, cuts[at] : cuts[at + 1]].astype(np.float32)
                rows = graph.constant(f"{self.name}.{part}.{at}", rows)
                pieces.append(graph.add("Gather", [rows, name], f"{self.name}.{part}.{at}.tokens", axis=0))
            first = pieces
            if part == "sin":
                first = [graph.add("Neg", [piece], f"{piece}.negated") for piece in pieces]
            joined = graph.add("Concat", [*first, *pieces], f"{self.name}.{part}.tokens", axis=-1)
            graph.add("Unsqueeze", [joined, self._constant("heads", [2])], self._name(part))

    def turn(self, value: str) -> str:
        """`value` with each head turned."""
        graph = self.graph
        sizes = self._constant("halves", [self.half, self.half])
        halves = [f"{value}.first", f"{value}.second"]
        graph.nodes.append(helper.make_node("Split", [value, sizes], halves, name=f"{value}.halves", axis=-1))
        swapped = graph.add("Concat", halves[::-1], f"{value}.swapped", axis=-1)
        turned = graph.add("Mul", [swapped, self._name("sin")], f"{value}.sin")
        kept = graph.add("Mul", [value, self._name("cos")], f"{value}.cos")
        return graph.add("Add", [kept, turned], f"{value}.rotated")

    def constant(self, rows: np.ndarray) -> None:
        """The same angles in every run, `[tokens, head_size / 2]`."""
        self.angles = rows
        for part, table in self._whole().items():
            self.graph.constant(self._name(part), table[:, np.newaxis])

    def _tables(self) -> dict[str, np.ndarray]:
        return {"cos": np.cos(self.angles), "sin": np.sin(self.angles)}

    def _whole(self) -> dict[str, np.ndarray]:
        """For whole heads. Their halves change places, and the one that becomes the first its sign: in the table."""
        cos, sin = self._tables().values()
        return {
            "cos": np.concatenate([cos, cos], axis=1).astype(np.float32),
            "sin": np.concatenate([-sin, sin], axis=1).astype(np.float32),
        }

    def _name(self, part: str) -> str:
        return f"{self.name}.{part}.turning"

    def _constant(self, part: str, values: list[int]) -> str:
        name = f"{self.name}.{part}"
        known = name in self.graph.weights
        return name if known else self.graph.constant(name, np.array(values, dtype=np.int64))
