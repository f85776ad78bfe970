"""dlib's face tools: 68 landmarks, and an embedding that says who it is. The models come in a package of their own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.packages import INSTALL, import_package, package_version
from prioritycut.metrics.detectors.pixels import Pixels, Points, frame_pixels, points_by_frame
from prioritycut.outputs import Frames

FACE_POINTS = 68
FEATURES = 128

_LANDMARKS_FILE = "shape_predictor_68_face_landmarks.dat"
_EMBEDDING_FILE = "dlib_face_recognition_resnet_model_v1.dat"
_LICENCE = "the landmark model was trained on data (300-W) whose licence excludes commercial use"


class DlibFace:
    """The 68 landmarks of the largest face, in the order of the paper's."""

    def __init__(self) -> None:
        self._dlib = import_package("dlib", user="dlib-68")
        self._finder = _FaceFinder(self._dlib, user="dlib-68")
        self.tool = Tool(
            role="keypoints",
            name="dlib-68",
            version=_version(self._dlib, user="dlib-68"),
            note=f"{_LICENCE}; the paper's landmarks are those of 2-D FAN",
        )

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 68 2"]:
        """xy in pixels of the frame, from the centre of its first pixel; all NaN where there is no face."""
        return points_by_frame(frames, FACE_POINTS, self._find)

    def _find(self, pixels: Pixels) -> Points | None:
        face = self._finder(pixels)
        return None if face is None else np.array([(point.x, point.y) for point in face.parts()], np.float64)


class DlibIdentity:
    """dlib's 128 numbers for the largest face, which it turns upright by the landmarks first."""

    def __init__(self) -> None:
        self._dlib = import_package("dlib", user="dlib-identity")
        self._finder = _FaceFinder(self._dlib, user="dlib-identity")
        self._network = self._dlib.face_recognition_model_v1(str(_model_file(_EMBEDDING_FILE, user="dlib-identity")))
        self.tool = Tool(
            role="identity",
            name="dlib-identity",
            version=_version(self._dlib, user="dlib-identity"),
            note=f"{_LICENCE}; the paper's embedding is OpenFace nn4.small2, on another scale",
        )

    @torch.no_grad()
    def __call__(self, frames: Frames) -> Float[Tensor, "batch 128"]:
        """One embedding an image; dlib takes two for the same person below a distance of 0.6. NaN without a face."""
        found = np.full((len(frames), FEATURES), np.nan)
        for number, frame in enumerate(frames):
            pixels = frame_pixels(frame)
            face = self._finder(pixels)
            if face is not None:
                found[number] = self._network.compute_face_descriptor(pixels, face)
        return torch.from_numpy(found).to(frames.device, torch.float32)


class _FaceFinder:
    """The largest face in a picture and its landmarks, as dlib's own object."""

    def __init__(self, dlib: Any, *, user: str) -> None:
        self._detect = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(_model_file(_LANDMARKS_FILE, user=user)))

    def __call__(self, pixels: Pixels) -> Any | None:
        # Twice the size is four times the work, so only where nothing was found: faces below 80 pixels.
        faces = list(self._detect(pixels, 0)) or list(self._detect(pixels, 1))
        if not faces:
            return None
        return self._landmarks(pixels, max(faces, key=lambda face: face.area()))


def _model_file(name: str, *, user: str) -> Path:
    # Looked up, not imported: the package asks at import for one that new Pythons no longer bring.
    package = find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise UserError(
            f"{user}: the package face_recognition_models, which holds dlib's models, is missing; {INSTALL}"
        )
    return Path(package.origin).parent / "models" / name


def _version(dlib: Any, *, user: str) -> str:
    return f"{dlib.__version__} models {package_version('face_recognition_models', user=user)}"
