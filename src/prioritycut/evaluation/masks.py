"""Where metrics look: the salient object, and the pixels that a baseline's maps say are most occluded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.data.clips import fit_square, open_clip
from prioritycut.data.layout import clips_in
from prioritycut.errors import UserError
from prioritycut.evaluation.protocol import Protocol
from prioritycut.evaluation.reconstructing import Frame, Reconstruct
from prioritycut.evaluation.testsets import TestBatch, clip_key
from prioritycut.metrics.detectors.base import Segmenter, Tool
from prioritycut.metrics.detectors.weights import weights_version
from prioritycut.metrics.salient import Matting, masks_from_frames, salient_masks, salient_tool
from prioritycut.outputs import Frames, MotionOutput
from prioritycut.regularizers import maps_at_frame_size, priority_cut_mask

Mask: TypeAlias = Float[Tensor, "batch 1 height width"]
FindMask: TypeAlias = Callable[[TestBatch], Mask]


@dataclass(frozen=True, slots=True)
class ClipMasks:
    """The salient masks of one clip. Both raise UserError where a mask is missing or does not fit.

    Attributes:
        find: Called with the clip's batches, in order; returns alpha in [0, 1], 1 is the object.
        end: Called when the clip is over.
    """

    find: FindMask
    end: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class SalientMasks:
    """Something that says where the salient object is in target frames, and what it is.

    Attributes:
        tool: Named in every result that stands on it.
        begin: From a clip's name to its masks; raises UserError where it has none.
    """

    tool: Tool
    begin: Callable[[str], ClipMasks]


def true_masks() -> SalientMasks:
    """The foreground that is known of puppets."""

    def find(batch: TestBatch) -> Mask:
        if batch.truth is None:
            raise UserError("salient masks from the truth: only puppets have it; name a segmenter instead")
        return batch.truth.foreground

    return SalientMasks(Tool(role="salient", name="truth", version="puppets"), lambda name: ClipMasks(find))


def segmented_masks(
    segmenter: Segmenter, matting: Matting | None, *, radius: int | None = None, erode: bool = False
) -> SalientMasks:
    """Segment, trimap, matting, on the target frames (SPEC section 8); `radius` and `erode` as in `salient_masks`."""
    tool = salient_tool(segmenter, matting, radius=radius, erode=erode)
    masks = ClipMasks(lambda batch: salient_masks(batch.frames, segmenter, matting, radius=radius, erode=erode))
    return SalientMasks(tool, lambda name: masks)


def brought_masks(folder: Path) -> SalientMasks:
    """Masks of the user's own: a clip of grey frames, white on the object, for each clip that is scored, by its name.

    Raises:
        UserError: There is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a folder with a mask clip for each clip, of the same name")
    paths = {clip_key(path.name): path for path in clips_in(folder)}
    if not paths:
        raise UserError(f"{folder}: holds no mask clips; give one for each clip, of the same name")

    def begin(name: str) -> ClipMasks:
        path = paths.get(clip_key(name))
        if path is None:
            raise UserError(f"{folder}: no masks for {name}; its salient metrics are left out")
        reader = open_clip(path)
        frames = iter(reader)

        def find(batch: TestBatch) -> Mask:
            if (reader.height, reader.width) != batch.original:
                given, wanted = f"{reader.width}x{reader.height}", f"{batch.original[1]}x{batch.original[0]}"
                raise UserError(f"{path}: masks of {given} for frames of {wanted}; make them of the same size")
            return masks_from_frames(torch.stack([_next(frames, path, batch.frames.shape[-2:]) for _ in batch.frames]))

        def end() -> None:
            if next(frames, None) is not None:
                raise UserError(f"{path}: more masks than the clip has frames; make one for each")

        return ClipMasks(find, end)

    # By content, not by name: other masks, another tool.
    version = weights_version([file for path in paths.values() for file in _files(path)])
    return SalientMasks(
        Tool(role="salient", name="masks", version=version, note=f"of the folder {folder.resolve().name}"), begin
    )


def _files(clip: Path) -> list[Path]:
    return sorted(path for path in clip.rglob("*") if path.is_file()) if clip.is_dir() else [clip]


def _next(frames: Iterator[Frame], path: Path, size: torch.Size) -> Frame:
    frame = next(frames, None)
    if frame is None:
        raise UserError(f"{path}: fewer masks than the clip has frames; make one for each")
    # As the frames themselves were brought to their size.
    return frame if frame.shape[-2:] == size else fit_square(frame, size[-1])


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model whose maps say which pixels are most occluded, the same for every method that is compared."""

    tool: Tool
    reconstruct: Reconstruct
    frame_size: int

    def begin(self, source: Frame) -> Callable[[Frames], MotionOutput]:
        """The baseline's motion from a source to driving frames of any size.

        Others than square are squeezed, not cropped, so that its maps reach as far as the frames.
        """
        render = self.reconstruct(self._fitted(source[None])[0])
        return lambda driving: render(self._fitted(driving)).motion

    def _fitted(self, frames: Frames) -> Float[Tensor, "batch 3 side side"]:
        size = (self.frame_size, self.frame_size)
        if frames.shape[-2:] == size:
            return frames
        return F.interpolate(frames, size, mode="bilinear", antialias=True, align_corners=False)


def top_masks(motion: MotionOutput, height: int, width: int, protocol: Protocol) -> dict[int, Mask]:
    """By percentage, 1 at that share of the most occluded pixels of each frame.

    Source: PriorityCut, Tables A2 to A4; SPEC section 8 and ambiguity A2.
    """
    occlusion, background = maps_at_frame_size(motion, height, width, user="a mask of the most occluded pixels")
    occlusion, background = occlusion.cpu(), background.cpu()
    return {
        share: priority_cut_mask(
            occlusion,
            background,
            share / 100,
            threshold=protocol.background_threshold,
            denominator=protocol.top_denominator,
        ).float()
        for share in protocol.top_percentages
    }
