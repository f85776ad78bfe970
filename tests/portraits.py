"""Real pictures of people for tests: one that comes with scikit-image, and the clips beside the project."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.data.clips import open_clip
from prioritycut.data.framing import fit_square

REAL = Path(__file__).parents[1].parent / "shared" / "data" / "faces"


def astronaut(left: int = 96, top: int = 0, width: int = 256, height: int = 256) -> Float[Tensor, "1 3 height width"]:
    """A window of NASA's portrait of Eileen Collins (public domain), 512x512 in whole; her face is near its top."""
    from skimage import data

    picture = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1).float() / 255
    return picture[None, :, top : top + height, left : left + width].clone()


def stranger(number: int = 0) -> Float[Tensor, "1 3 320 320"]:
    """A grey face of somebody else, from scikit-image's excerpt of Labeled Faces in the Wild, enlarged and framed."""
    from skimage import data

    face = torch.from_numpy(data.lfw_subset()[number]).float()[None, None]
    face = torch.nn.functional.interpolate(face, size=(200, 200), mode="bilinear")
    return torch.nn.functional.pad(face, (60, 60, 60, 60), mode="replicate").expand(1, 3, -1, -1).clone()


def grey() -> Float[Tensor, "1 3 256 256"]:
    """Nobody."""
    return torch.full((1, 3, 256, 256), 0.5)


def real_frames(name: str, count: int) -> Float[Tensor, "count 3 256 256"]:
    """Every fifth frame of a real clip from its start."""
    with open_clip(REAL / f"{name}.mp4") as reader:
        return torch.stack([fit_square(frame, 256) for frame in islice(reader, 0, 5 * count, 5)])
