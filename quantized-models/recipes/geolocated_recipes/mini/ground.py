"""Where on the ground the tokens of a drone's view look, and which tokens of the tile show the same ground."""

import numpy as np

from geolocated_recipes.mini.pairs import DRONE_X, HEADING, HEIGHT, HFOV, MAP_X, PITCH, ROLL, TILE_M, Turn


def token_centres(side: int) -> np.ndarray:
    """Row and column of each token's middle as shares of the picture, `[side * side, 2]`."""
    at = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)


def seen_from_drone(records: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """East and north of what lies at `centres` `[B, T, 2]` of drone views, in metres, `[B, T, 2]`; flat ground.

    The pinhole of the renderer: heading is where the upper edge points, pitch -90 looks straight down.
    """
    heading, pitch, roll = (np.radians(records[:, at])[:, None] for at in (HEADING, PITCH, ROLL))
    height = records[:, HEIGHT][:, None]
    zero = np.zeros_like(heading)
    forward = np.stack([np.sin(heading) * np.cos(pitch), np.cos(heading) * np.cos(pitch), np.sin(pitch)], axis=-1)
    level = np.stack([np.cos(heading), -np.sin(heading), zero], axis=-1)
    below = np.cross(forward, level)
    right = level * np.cos(roll)[..., None] + below * np.sin(roll)[..., None]
    down = below * np.cos(roll)[..., None] - level * np.sin(roll)[..., None]
    slope = np.tan(np.radians(records[:, HFOV]) / 2)[:, None]
    across, along = ((2 * centres[..., at] - 1) * slope for at in (1, 0))
    rays = forward + right * across[..., None] + down * along[..., None]
    reach = -height / rays[..., 2]
    return records[:, None, DRONE_X : DRONE_X + 2] + rays[..., :2] * reach[..., None]


def on_tile(records: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Row and column, as shares of the tile (north up), of ground `[B, T, 2]`."""
    east, north = np.moveaxis(ground - records[:, None, MAP_X : MAP_X + 2], -1, 0)
    return np.stack([0.5 - north / TILE_M, 0.5 + east / TILE_M], axis=-1)


def before_turn(places: np.ndarray, turn: Turn) -> np.ndarray:
    """Where what is at `places` `[B, T, 2]` of turned pictures was before."""
    row, column = np.moveaxis(places, -1, 0)
    for done in range(3):
        is_turned = (turn.quarters > done)[:, None]
        row, column = np.where(is_turned, column, row), np.where(is_turned, 1 - row, column)
    return np.stack([row, np.where(turn.mirrored[:, None], 1 - column, column)], axis=-1)


def after_turn(places: np.ndarray, turn: Turn) -> np.ndarray:
    """Where what is at `places` `[B, T, 2]` comes to in turned pictures."""
    row, column = np.moveaxis(places, -1, 0)
    column = np.where(turn.mirrored[:, None], 1 - column, column)
    for done in range(3):
        is_turned = (turn.quarters > done)[:, None]
        row, column = np.where(is_turned, 1 - column, row), np.where(is_turned, row, column)
    return np.stack([row, column], axis=-1)


def shares(records: np.ndarray, of_maps: Turn, of_views: Turn, side: int) -> np.ndarray:
    """For each token of a view the tokens of its tile that show its ground, and their shares, `[B, T, T]` float32.

    Shares are bilinear in the distances to the four nearest tokens; all are 0 where the ground lies beside the tile.
    """
    centres = np.broadcast_to(token_centres(side), (len(records), side * side, 2))
    ground = seen_from_drone(records, before_turn(centres, of_views))
    places = after_turn(on_tile(records, ground), of_maps)
    is_on = ((places >= 0) & (places < 1)).all(-1)
    at = np.arange(side)
    parts = [
        np.clip(1 - np.abs(np.clip(places[..., axis] * side - 0.5, 0, side - 1)[..., None] - at), 0, 1)
        for axis in (0, 1)
    ]
    weights = parts[0][..., :, None] * parts[1][..., None, :]
    return (weights.reshape(*is_on.shape, side * side) * is_on[..., None]).astype(np.float32)
