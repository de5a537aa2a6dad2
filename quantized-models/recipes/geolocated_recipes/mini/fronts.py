"""What stands before the stem: how a picture is cut or bent into what a tower sees. Plain gathers, in graphs too."""

from dataclasses import dataclass

import numpy as np

# Pixels along a side of a tile; a panorama has twice as many columns.
SIDE = 128
# Rows of a panorama of 128 rows between which it is not only sky or only the road below the camera: 50 degrees above
# the horizon to 39 below.
FIRST_ROW, LAST_ROW = 28, 92


@dataclass(frozen=True)
class Polar:
    """A tile of north up as seen from its middle: `[3, 128, 128]` to `[3, 64, 256]`.

    Rows run from 0.5 tile sides away (top) to the middle (bottom), columns once around with north in the middle, as in
    panoramas (Y. Shi et al., "Spatial-Aware Feature Aggregation for Image Based Cross-View
    Geo-Localization", 2019).
    """

    rows: int = LAST_ROW - FIRST_ROW
    columns: int = 2 * SIDE

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """For each pixel of the result the four of the tile around it, `[4, rows * columns]`, and their shares."""
        radius = (self.rows - 0.5 - np.arange(self.rows)) / self.rows * (SIDE / 2)
        azimuth = (np.arange(self.columns) + 0.5) / self.columns * 2 * np.pi - np.pi
        x = SIDE / 2 - 0.5 + np.multiply.outer(radius, np.sin(azimuth))
        y = SIDE / 2 - 0.5 - np.multiply.outer(radius, np.cos(azimuth))
        left, top = np.floor(x), np.floor(y)
        places, shares = [], []
        for down in (0, 1):
            for right in (0, 1):
                column = np.clip(left + right, 0, SIDE - 1)
                row = np.clip(top + down, 0, SIDE - 1)
                places.append((row * SIDE + column).astype(np.int64).ravel())
                across = x - left if right else 1 - (x - left)
                along = y - top if down else 1 - (y - top)
                shares.append((across * along).astype(np.float32).ravel())
        return np.stack(places), np.stack(shares)
