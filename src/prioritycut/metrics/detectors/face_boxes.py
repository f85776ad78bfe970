"""Where a face is, by mediapipe: for networks that look at one face and leave it to others to find it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.mediapipe import Graph  # pyright: ignore[reportPrivateUsage]
from prioritycut.metrics.detectors.packages import package_version
from prioritycut.metrics.detectors.pixels import Pixels, Points, points_by_frame
from prioritycut.outputs import Frames


class MediapipeBoxes:
    """The box of the face that mediapipe is surest of, of those at most about two metres away.

    It reaches from the brows to the chin, less high than S3FD's, which holds the forehead too.

    Raises:
        UserError: mediapipe is not installed.
    """

    def __init__(self, *, user: str) -> None:
        self.tool = Tool(role="keypoints", name=user, version=package_version("mediapipe", user=user))
        self._graph = Graph(self.tool, lambda solutions: solutions.face_detection.FaceDetection(model_selection=0))

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 4"]:
        """Left, top, right, bottom in pixels from the outer corner of the first; NaN where no face was found."""
        return points_by_frame(frames, 2, self._corners).flatten(1) + 0.5

    def _corners(self, pixels: Pixels) -> Points | None:
        found = self._graph(pixels).detections
        if not found:
            return None
        box = max(found, key=lambda face: face.score[0]).location_data.relative_bounding_box
        height, width, _ = pixels.shape
        corners = np.array([(box.xmin, box.ymin), (box.xmin + box.width, box.ymin + box.height)])
        return corners * (width, height) - 0.5
