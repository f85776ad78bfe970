"""Google's mediapipe: a face mesh, body joints and a person's mask. Its models come with the package.

Each frame is a picture of its own: nothing is tracked from one to the next, so a value depends on its frame alone and
repeats to the last bit.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.packages import import_package, package_version
from prioritycut.metrics.detectors.pixels import SHORTEST_SIDE, Pixels, Points, frame_pixels, points_by_frame
from prioritycut.outputs import Frames

FACE_POINTS = 468
POSE_POINTS = 33
VISIBLE = 0.5
"""A joint is found if mediapipe holds it for visible with at least this probability."""


class MediapipeFace:
    """The 468 points of the face mesh, of the face that mediapipe is surest of."""

    def __init__(self) -> None:
        self.tool = Tool(
            role="keypoints",
            name="mediapipe-face",
            version=package_version("mediapipe", user="mediapipe-face"),
            note="468 mesh points; the paper's are the 68 of 2-D FAN",
        )
        self._graph = Graph(
            self.tool, lambda solutions: solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1)
        )

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 468 2"]:
        """xy in pixels of the frame, from the centre of its first pixel; all NaN where there is no face."""
        return points_by_frame(frames, FACE_POINTS, self._find)

    def _find(self, pixels: Pixels) -> Points | None:
        faces = self._graph(pixels).multi_face_landmarks
        return _centred(faces[0].landmark, pixels) if faces else None


class MediapipePose:
    """The 33 joints of the one person that mediapipe is surest of."""

    def __init__(self) -> None:
        self.tool = Tool(
            role="keypoints",
            name="mediapipe-pose",
            version=package_version("mediapipe", user="mediapipe-pose"),
            note="33 joints, found if visible with probability 0.5; the paper's are the 18 of part-affinity fields",
        )
        self._graph = Graph(
            self.tool, lambda solutions: solutions.pose.Pose(static_image_mode=True, model_complexity=1)
        )

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 33 2"]:
        """xy in pixels of the frame, from the centre of its first pixel; NaN for a joint that is hidden.

        A joint that mediapipe places is hidden if its visibility is below 0.5, as those beyond the frame are. All are
        NaN where there is nobody.
        """
        return points_by_frame(frames, POSE_POINTS, self._find)

    def _find(self, pixels: Pixels) -> Points | None:
        person = self._graph(pixels).pose_landmarks
        if person is None:
            return None
        points = _centred(person.landmark, pixels)
        points[[joint.visibility < VISIBLE for joint in person.landmark]] = np.nan
        return points


class MediapipeSelfie:
    """Where the people in the frame are, by the square general model (256x256)."""

    def __init__(self) -> None:
        self.tool = Tool(
            role="salient",
            name="mediapipe-selfie",
            version=package_version("mediapipe", user="mediapipe-selfie"),
            note="people only; the paper's is DeepLabV3+ with the person class of VOC",
        )
        self._graph = Graph(
            self.tool, lambda solutions: solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
        )

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Float[Tensor, "batch 1 height width"]:
        """Probability in [0, 1] that a pixel shows a person."""
        size = (frames.shape[-2], frames.shape[-1])
        masks = [torch.from_numpy(self._mask(frame_pixels(frame))) for frame in frames]
        stacked = torch.stack(masks)[:, None] if masks else torch.empty(0, 1, *size)
        if stacked.shape[-2:] != size:
            stacked = F.interpolate(stacked, size=size, mode="bilinear", align_corners=False, antialias=True)
        return stacked.clamp(0, 1).to(frames.device)

    def _mask(self, pixels: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
        # Copied, for what mediapipe gives lives in a buffer of its own.
        return np.array(self._graph(pixels).segmentation_mask, np.float32)


def _centred(landmarks: Any, pixels: Pixels) -> Points:
    """From shares of the picture's sides, 0 and 1 its outer edges, to pixels from the centre of the first."""
    height, width, _ = pixels.shape
    return np.array([(point.x * width, point.y * height) for point in landmarks]) - 0.5


class Graph:
    """A mediapipe program, kept open as long as its owner lives."""

    def __init__(self, tool: Tool, make: Callable[[Any], Any]) -> None:
        solutions = import_package("mediapipe", user=tool.name).solutions
        with _quietly(), _silent_stderr():
            self._solution = make(solutions)
            # It announces itself once more with the first picture.
            self._solution.process(np.zeros((SHORTEST_SIDE, SHORTEST_SIDE, 3), np.uint8))
        weakref.finalize(self, self._solution.close)

    def __call__(self, pixels: Pixels) -> Any:
        with _quietly():
            return self._solution.process(pixels)


@contextmanager
def _quietly() -> Generator[None]:
    """Without the one warning that this mediapipe earns from every protobuf that it accepts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"SymbolDatabase\.GetPrototype\(\) is deprecated", UserWarning)
        yield


@contextmanager
def _silent_stderr() -> Generator[None]:
    """Without what native code writes to stderr; no setting of mediapipe's keeps its start-up notes away."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        with suppress(OSError):
            os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
