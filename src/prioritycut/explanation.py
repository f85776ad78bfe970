"""How an animated frame came about, as pictures: what `animate --explain` shows."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.animation import AnimatedFrames, Frame
from prioritycut.drawing import draw_keypoints, label_bar, paint_map
from prioritycut.geometry import resize_deformation, warp
from prioritycut.outputs import Frames, Keypoints
from prioritycut.regularizers import maps_at_frame_size, priority_cut_mask

EXPLAIN_PANELS = ("source", "driving", "deformed", "occlusion map", "background", "cut mask", "prediction")
EXPLAIN_FRACTION = 0.3
"""Share of the foreground that the explain clip's cut mask marks."""


@torch.inference_mode()
def explain_frames(
    source: Frame, start: Keypoints | None, batch: AnimatedFrames, *, align_corners: bool = True, panel: int = 160
) -> Iterator[Frame]:
    """Show how each frame came about: the panels of `EXPLAIN_PANELS` side by side under their names.

    Occlusion map: black is occluded, to be painted. Background: white is background. Cut mask: white is the 30%
    of the foreground that PriorityCut would cut. A map that the model does not estimate is left grey under "no ...".

    Args:
        source: The picture.
        start: Its keypoints; `None` of a model without keypoints.
        batch: From `animate_stream`.
        align_corners: The animator's sampling convention.
        panel: Smallest side of a panel, in pixels; small frames are enlarged.
    """
    motion, prediction = batch.output.motion, batch.output.prediction
    count, _, height, width = prediction.shape
    sources = source.expand(count, -1, -1, -1)
    # Maps come to the frame's size smoothly; from there everything is enlarged by repetition, so that the pixels of
    # the cut stay pixels.
    grey = torch.full_like(prediction, 0.5)
    occlusion = background = cut = grey
    if motion.occlusion_map is not None:
        occlusion = paint_map(motion.occlusion_map, height, width)
    if motion.background_mask is not None:
        background = paint_map(motion.background_mask, height, width)
    if motion.occlusion_map is not None and motion.background_mask is not None:
        maps = maps_at_frame_size(motion, height, width, user="the cut mask")
        cut = paint_map(priority_cut_mask(*maps, EXPLAIN_FRACTION).float(), height, width)
    deformation = resize_deformation(motion.deformation, height, width)
    panels = (
        _drawn(sources, None if start is None else start.expand(count), panel),
        _drawn(batch.driving, batch.driving_keypoints, panel),
        *(
            enlarge(frames, panel)
            for frames in (
                warp(sources, deformation, align_corners=align_corners),
                occlusion,
                background,
                cut,
                prediction,
            )
        ),
    )
    side = panels[0].shape[-1]
    absent = {
        name
        for name, frames in (("occlusion map", occlusion), ("background", background), ("cut mask", cut))
        if frames is grey
    }
    bar = label_bar([f"no {name}" if name in absent else name for name in EXPLAIN_PANELS], side)
    for row in torch.cat(panels, dim=3).cpu():
        yield torch.cat([bar, row], dim=1)


def _drawn(frames: Frames, keypoints: Keypoints | None, panel: int) -> Float[Tensor, "batch 3 rows cols"]:
    enlarged = enlarge(frames, panel)
    return enlarged if keypoints is None else draw_keypoints(enlarged, keypoints)


def enlarge(frames: Frames, side: int) -> Float[Tensor, "batch 3 rows cols"]:
    """Repeat pixels a whole number of times until the shorter side has at least `side`."""
    times = -(-side // min(frames.shape[-2:]))
    return frames.repeat_interleave(times, dim=-2).repeat_interleave(times, dim=-1)
