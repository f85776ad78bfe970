"""Faces and people in single frames, by mediapipe, whose models come with the package."""

from __future__ import annotations

from typing import Any

import numpy as np

from prioritycut.data.media import Pixels
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.mediapipe import Graph
from prioritycut.metrics.detectors.packages import package_version
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.tracking import Person

FOREHEAD = 0.12
"""What the near model's box lacks, as a share of its height: it begins at the brows.

The far model's box reaches from the hairline to the chin and from ear to ear, within a tenth, as do those of S3FD that
the published lists were made with; so the rules' sizes mean with it what they mean there. Measured against the mesh's
468 points on 56 frames of ten real clips: the mesh begins 0.02 of the box's height above the far model's box and 0.12
above the near one's, and both end with the chin.
"""

HEAD_POINTS = slice(0, 11)
"""Nose, eyes, ears and mouth among mediapipe's 33 joints."""
ANKLES = slice(27, 29)

PERSON_SCORE = 0.9
"""What the person detector and the joints' network must each hold for the probability of a person."""


class FaceFinder:
    """Boxes of all faces in a frame.

    mediapipe's far model (full range) is asked, and where it sees nobody the near one (short range). On 3,617 frames of
    ten real clips the far one alone missed 10, all of faces that fill most of the frame; the near one alone missed 20
    of a person seen whole, and put its box wrongly in most others of that clip; one after the other missed none. Faces
    lower than about a twelfth of the frame are seen by neither.

    Raises:
        UserError: mediapipe is not installed.
    """

    def __init__(self, width: int, height: int) -> None:
        """For a video of this size; frames may come smaller."""
        self._width, self._height = width, height
        tool = _tool("--subject face")
        self._far = Graph(tool, lambda solutions: solutions.face_detection.FaceDetection(model_selection=1))
        self._near = Graph(tool, lambda solutions: solutions.face_detection.FaceDetection(model_selection=0))

    def __call__(self, pixels: Pixels) -> list[Box]:
        """In pixels of the video, clipped to it, the surest first."""
        far = self._far(pixels).detections
        found = (
            [(face, 0.0) for face in far] if far else [(face, FOREHEAD) for face in self._near(pixels).detections or ()]
        )
        return [self._box(face.location_data.relative_bounding_box, forehead) for face, forehead in found]

    def _box(self, box: Any, forehead: float) -> Box:
        top = box.ymin - forehead * box.height
        return _within(box.xmin, top, box.xmin + box.width, box.ymin + box.height, self._width, self._height)


class PersonFinder:
    """The one person that mediapipe is surest of in a frame: there is no telling whether it shows more.

    The box is that of the person's mask, since the joints end at the brow, the wrists and the soles.

    Raises:
        UserError: mediapipe is not installed.
    """

    def __init__(self, width: int, height: int) -> None:
        """For a video of this size; frames may come smaller."""
        self._width, self._height = width, height
        self._graph = Graph(
            _tool("--subject person"),
            lambda solutions: solutions.pose.Pose(
                static_image_mode=True,
                model_complexity=1,
                enable_segmentation=True,
                min_detection_confidence=PERSON_SCORE,
                min_tracking_confidence=PERSON_SCORE,
            ),
        )

    def __call__(self, pixels: Pixels) -> Person | None:
        """`None` where there is nobody."""
        seen = self._graph(pixels)
        if seen.pose_landmarks is None:
            return None
        mask = np.asarray(seen.segmentation_mask) > 0.5
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if not len(columns):
            return None
        height, width = mask.shape
        box = _within(
            columns[0] / width,
            rows[0] / height,
            (columns[-1] + 1) / width,
            (rows[-1] + 1) / height,
            self._width,
            self._height,
        )
        visible = [float(joint.visibility) for joint in seen.pose_landmarks.landmark]
        return Person(box, max(visible[HEAD_POINTS]), max(visible[ANKLES]))


def _tool(user: str) -> Tool:
    return Tool(role="keypoints", name=user, version=package_version("mediapipe", user=user))


def _within(left: float, top: float, right: float, bottom: float, width: int, height: int) -> Box:
    """From shares of the frame's sides to whole pixels within it."""
    xs = [min(max(round(float(x) * width), 0), width) for x in (left, right)]
    ys = [min(max(round(float(y) * height), 0), height) for y in (top, bottom)]
    return Box(xs[0], ys[0], xs[1], ys[1])
