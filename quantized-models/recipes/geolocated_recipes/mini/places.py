"""Retrieval-augmented questions: where a view was taken, told the places of tiles that are like it, and of unlike ones.

The words are those of `geolocate evaluate --system rag`, whose defaults they follow. Towns are put anywhere on Earth,
so that an answer can be learned from the coordinates of its question alone.
"""

import numpy as np

from geolocated_recipes.mini.pairs import MAP_X, VIEW_X

SIMILAR = "Photos that look similar were taken at these places, the most similar one first"
DISSIMILAR = "Photos that look dissimilar were taken at these places, which are probably not its own"
ASKED = "Where was this photo taken? Look at all that it shows.\n"
FORM = (
    'Answer with one JSON object and nothing else: {"latitude": DEGREES, "longitude": DEGREES}, in decimal degrees, '
    "south and west negative."
)
WORDS = [ASKED, SIMILAR, DISSIMILAR, FORM, '{"latitude": 1, "longitude": 1}']
"""What a vocabulary should have words for."""
COUNTS = ((0, 0), (1, 0), (2, 0), (4, 0), (8, 8), (16, 0), (16, 16))
"""How many similar and dissimilar places a question tells."""
# Metres of a degree of latitude.
DEGREE_M = 111_195.0
# Towns lie no farther from the equator.
MOST_LATITUDE = 65.0


def degrees(metres: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """East and north of a town's middle, `[..., 2]`, to latitude and longitude; `anchor` is that of the middle."""
    north, east = metres[..., 1], metres[..., 0]
    across = DEGREE_M * np.cos(np.radians(anchor[0]))
    return np.stack([anchor[0] + north / DEGREE_M, anchor[1] + east / across], axis=-1)


def question(similar: np.ndarray, dissimilar: np.ndarray) -> str:
    """The text beside the picture; places are `[N, 2]` in degrees, the most similar and the most dissimilar first."""
    text = ASKED
    for title, places in ((SIMILAR, similar), (DISSIMILAR, dissimilar)):
        if len(places):
            text += f"{title}:\n[{', '.join(f'[{lat:.5f}, {lon:.5f}]' for lat, lon in places)}]\n"
    return text + FORM


def answer(place: np.ndarray) -> str:
    """The text that is right, for a place in degrees."""
    return f'{{"latitude": {place[0]:.5f}, "longitude": {place[1]:.5f}}}'


def record(
    records: np.ndarray, scores: np.ndarray, at: int, counts: tuple[int, int], random: np.random.Generator
) -> tuple[str, str]:
    """Question and answer of row `at` of some rows of one region, `[N, 16]`, whose tiles have these `scores` `[N]`."""
    anchor = np.array([np.degrees(np.arcsin(random.uniform(-1, 1))), random.uniform(-180, 180)])
    anchor[0] = np.clip(anchor[0], -MOST_LATITUDE, MOST_LATITUDE)
    middle = records[:, MAP_X : MAP_X + 2].mean(0) + random.uniform(-500, 500, size=2)
    tiles = degrees(records[:, MAP_X : MAP_X + 2] - middle, anchor)
    own = degrees(records[at, VIEW_X : VIEW_X + 2] - middle, anchor)
    order = np.argsort(-scores, kind="stable")
    return question(tiles[order[: counts[0]]], tiles[order[::-1][: counts[1]]]), answer(own)
