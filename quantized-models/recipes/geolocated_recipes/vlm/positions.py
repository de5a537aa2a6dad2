"""Where the tokens of a prompt stand, in three numbers: time, row and column (Qwen2-VL; P. Wang et al., 2024)."""

import numpy as np


def places(is_picture: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, int]:
    """Of tokens `[T]`, `[3, T]`, and where the next piece begins. Those of a picture share their time, and it takes as
    many places of the text as the longer of its sides."""
    found, at, next_at = np.zeros((3, len(is_picture)), dtype=np.int64), 0, 0
    cells = np.arange(rows * columns)
    inside = np.stack([cells * 0, cells // columns, cells % columns])
    while at < len(is_picture):
        if is_picture[at]:
            end = at + len(cells)
            found[:, at:end] = next_at + inside
            at, next_at = end, next_at + max(rows, columns)
        else:
            found[:, at] = next_at
            at, next_at = at + 1, next_at + 1
    return found, next_at
