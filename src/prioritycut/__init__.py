"""PriorityCut: warp-based image animation, trained where warping leaves holes.

The public names, nothing else. They are loaded when first used, so that importing the package is quick and a
regularizer can be had without the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prioritycut.animation import animate_clip, transfer_motion
    from prioritycut.checkpoint import load_animator
    from prioritycut.data.clips import read_clip, write_clip
    from prioritycut.data.puppets import generate_puppets
    from prioritycut.outputs import AnimationOutput, Keypoints, MotionOutput
    from prioritycut.regularizers import consistency_loss, mix, priority_cut_mask

__version__ = "0.1.0"

_ROOMS = {
    "AnimationOutput": "outputs",
    "Keypoints": "outputs",
    "MotionOutput": "outputs",
    "animate_clip": "animation",
    "consistency_loss": "regularizers",
    "generate_puppets": "data.puppets",
    "load_animator": "checkpoint",
    "mix": "regularizers",
    "priority_cut_mask": "regularizers",
    "read_clip": "data.clips",
    "transfer_motion": "animation",
    "write_clip": "data.clips",
}

__all__ = [
    "AnimationOutput",
    "Keypoints",
    "MotionOutput",
    "animate_clip",
    "consistency_loss",
    "generate_puppets",
    "load_animator",
    "mix",
    "priority_cut_mask",
    "read_clip",
    "transfer_motion",
    "write_clip",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
