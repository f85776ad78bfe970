"""Laying painted sheets into frames, and what can be seen there of the keypoints they carry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prioritycut.data.puppets.affine import invert
from prioritycut.data.puppets.arrays import Affine, Numbers, Picture, Whole
from prioritycut.data.puppets.clip import LANDMARKS
from prioritycut.data.puppets.motion import Placement
from prioritycut.data.puppets.painting import Sheet

_PIXELS_AT_ONCE = 1 << 17  # frames are drawn in groups of about this many pixels, to stay in cache


def rank_sheet(number: int, sheet: Sheet, place: Placement) -> Whole:
    """When the sheet is drawn in each frame: later lies over earlier, -1 is never."""
    own = np.where(place.nearer & sheet.mount.turns_over, 100 + number, number)
    return np.where(place.shown, own, -1).astype(np.int16)


def render_sheets(scenery: Numbers, sheets: list[Sheet], affine: Numbers, rank: Whole) -> tuple[Numbers, Whole]:
    """Lay all sheets over the background.

    Args:
        scenery: 3 size size.
        sheets: The parts; sheet `i` is layer `i + 1`.
        affine: time layers 2 3: sheet coordinates to xy.
        rank: sheets time: see `rank_sheet`.

    Returns:
        RGB (time 3 size size) and the topmost layer (time size size).
    """
    count, size = affine.shape[0], scenery.shape[-1]
    picture = np.tile(scenery, (count, 1, 1, 1))
    layer = np.zeros((count, size, size), np.uint8)
    to_sheet = invert(affine.astype(np.float64))
    group = max(1, _PIXELS_AT_ONCE // (size * size))
    for start in range(0, count, group):
        part = slice(start, min(start + group, count))
        turns = sorted(
            {(int(turn), number) for number in range(len(sheets)) for turn in rank[number, part] if turn >= 0}
        )
        for turn, number in turns:
            times = start + np.flatnonzero(rank[number, part] == turn)
            _lay_sheet(
                picture,
                layer,
                sheets[number],
                number + 1,
                times,
                affine[times, number + 1],
                to_sheet[times, number + 1],
            )
    return np.clip(picture, 0.0, 1.0, out=picture), layer  # blending may round to just above 1


def _lay_sheet(
    picture: Numbers,
    layer: Whole,
    sheet: Sheet,
    label: int,
    times: Whole,
    affine: Numbers,
    to_sheet: Affine,
) -> None:
    """Lay one sheet over some frames, each in the box of pixels where it can be seen."""
    size = picture.shape[-1]
    rows, cols = sheet.picture.shape[:2]
    pixel = 2.0 / (size - 1)
    left, right = sheet.left, sheet.left + (cols - 1) / sheet.density
    top, bottom = sheet.top, sheet.top + (rows - 1) / sheet.density
    corners = np.array([[left, top, 1.0], [right, top, 1.0], [left, bottom, 1.0], [right, bottom, 1.0]])
    spread = ((affine.astype(np.float64)[:, None] * corners[:, None]).sum(-1) + 1.0) / pixel
    lowest = np.clip(np.ceil(spread.min(axis=1)), 0, size).astype(np.intp)
    highest = np.clip(np.floor(spread.max(axis=1)) + 1, 0, size).astype(np.intp)
    wide, high = (int(length) for length in (highest - lowest).max(axis=0))
    if min(wide, high) <= 0:
        return
    first_col = np.minimum(lowest[:, 0], size - wide)
    first_row = np.minimum(lowest[:, 1], size - high)
    # Column and row of the pixel to column and row of the texel.
    across = to_sheet[:, :, 0] * pixel * sheet.density
    down = to_sheet[:, :, 1] * pixel * sheet.density
    origin = (to_sheet[:, :, 2] - to_sheet[:, :, 0] - to_sheet[:, :, 1] - np.array([left, top])) * sheet.density
    # Counted from the frame's corner, not the box's, so that no digit depends on which frames share a box.
    over_cols = across[..., None] * (first_col[:, None, None] + np.arange(wide)) + origin[..., None]
    over_rows = down[..., None] * (first_row[:, None, None] + np.arange(high))
    texel = over_cols[:, :, None, :].astype(np.float32) + over_rows[:, :, :, None].astype(np.float32)
    painted = _read(sheet.picture, texel[:, 0], texel[:, 1])
    keep = 1.0 - painted[:, 3]
    covers = painted[:, 3] > 0.5
    for number, time in enumerate(times):
        row, col = int(first_row[number]), int(first_col[number])
        box = (slice(row, row + high), slice(col, col + wide))
        under = picture[time, :, box[0], box[1]]
        under *= keep[number]
        under += painted[number, :3]
        np.copyto(layer[time][box], np.uint8(label), where=covers[number])


def _read(picture: Picture, col: Numbers, row: Numbers) -> Numbers:
    """Bilinear reading at texel positions (time high wide); gives time 4 high wide."""
    rows, cols = picture.shape[:2]
    np.clip(col, 0.0, cols - 1.01, out=col)
    np.clip(row, 0.0, rows - 1.01, out=row)
    first_col, first_row = col.astype(np.intp), row.astype(np.intp)
    share_col = np.broadcast_to((col - first_col).astype(np.float32)[..., None], (*col.shape, 4)).copy()
    share_row = np.broadcast_to((row - first_row).astype(np.float32)[..., None], (*col.shape, 4)).copy()
    texels: Numbers = picture.reshape(-1, 4)
    first = first_row * cols + first_col
    above = _look_up(texels, first)
    above += (_look_up(texels, first + 1) - above) * share_col
    first += cols
    below = _look_up(texels, first)
    below += (_look_up(texels, first + 1) - below) * share_col
    above += (below - above) * share_row
    return np.ascontiguousarray(np.moveaxis(above, -1, 1))


def _look_up(table: Numbers, index: Whole) -> Numbers:
    """Rows of a table, without a check of each index."""
    return table.take(index, axis=0, mode="clip")


def find_landmarks(
    sheets: list[Sheet], affine: Numbers, rank: Whole, layer: Whole
) -> tuple[Numbers, NDArray[np.bool_]]:
    """xy of the keypoints (time points 2) and whether nothing lies over them (time points)."""
    count, size = layer.shape[0], layer.shape[-1]
    position = np.zeros((count, len(LANDMARKS), 2), np.float32)
    visible = np.zeros((count, len(LANDMARKS)), np.bool_)
    ranks = np.concatenate([np.full((1, count), -1, np.int16), rank])
    times = np.arange(count, dtype=np.intp)
    for number, sheet in enumerate(sheets):
        for name, x, y in sheet.landmarks:
            point = LANDMARKS.index(name)
            place = affine[:, number + 1]
            position[:, point] = place[:, :, 0] * np.float32(x) + place[:, :, 1] * np.float32(y) + place[:, :, 2]
            pixel = np.rint((position[:, point] + 1.0) * 0.5 * (size - 1)).astype(np.intp)
            inside = ((pixel >= 0) & (pixel < size)).all(axis=1)
            col, row = np.clip(pixel, 0, size - 1).T
            over = ranks[layer[times, row, col], times]
            visible[:, point] = inside & (rank[number] >= 0) & (over <= rank[number])
    return position, visible
