"""How far the margins of a variant are from those of float32, comparison by comparison."""

from dataclasses import asdict, dataclass

import numpy as np

from geolocated_recipes.vlm.runner import Runner


@dataclass(frozen=True)
class Agreement:
    """A variant beside float32, on the same comparisons."""

    comparisons: int
    margin_error_median: float
    margin_error_most: float
    signs_kept: float
    """Share of comparisons with the same answer."""
    correlation: float
    """Of the margins (Pearson)."""
    spread: float
    """Standard deviation of float32's margins: what errors are to be seen beside."""

    def figures(self) -> dict:
        """What the table `[quantization]` of a manifest has keys for."""
        kept = ("comparisons", "margin_error_median", "margin_error_most", "signs_kept")
        return {key: round(value, 5) for key, value in asdict(self).items() if key in kept}

    def as_dict(self) -> dict:
        """For reports."""
        return asdict(self)


def compare(reference: np.ndarray, variant: np.ndarray) -> Agreement:
    """Margins of the same comparisons, in the same order."""
    errors = np.abs(variant - reference)
    return Agreement(
        comparisons=len(reference),
        margin_error_median=float(np.median(errors)),
        margin_error_most=float(errors.max()),
        signs_kept=float(np.mean((variant > 0) == (reference > 0))),
        correlation=float(np.corrcoef(reference, variant)[0, 1]),
        spread=float(reference.std()),
    )


def triples(pictures: int, count: int) -> list[tuple[int, int, int]]:
    """Queries and two candidates out of so many pictures; the same for every variant."""
    drawn = np.random.default_rng(0)
    return [tuple(int(at) for at in drawn.choice(pictures, 3, replace=False)) for _ in range(count)]


def margins(running: Runner, pixels: list[np.ndarray], orders: list[tuple[int, int, int]]) -> np.ndarray:
    """The margin of each comparison. What stands before the candidates is run once for each query."""
    tokens = [running.see(picture) for picture in pixels]
    found, prefixes = [], {}
    for order in orders:
        pieces = running.pair_pieces(*(tokens[at] for at in order))
        if order[0] not in prefixes:
            prefixes[order[0]] = running.run(pieces[0])[1]
        found.append(running.pair(pieces, prefixes[order[0]]))
    return np.array(found)


def drawn_pixels(side: int, count: int) -> list[np.ndarray]:
    """Pictures of random squares, for models with random weights."""
    drawn = np.random.default_rng(1)
    cells = 8
    step = -(-side // cells)
    squares = drawn.uniform(-1, 1, (count, 1, 3, cells, cells)).astype(np.float32)
    return [np.ascontiguousarray(np.kron(one, np.ones((step, step), np.float32))[..., :side, :side]) for one in squares]
