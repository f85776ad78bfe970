"""Drawn little people that turn, tilt, blink and talk: clips from a seed, with the truth about their motion.

A puppet is a stack of flat sheets mounted on a turning head, as in a pop-up book. A sheet is painted once,
in its own coordinates, and each frame only places it by an affine map. So a colour never slides on its sheet
and the flow between two frames is exact; where another sheet lies on top, nothing of it is seen and the
pixel is occluded. Nothing here is copied from anyone: the drawings are formulas, free of licences.

Units: head units on the sheets (a head is about 2 wide, x to the right, y down, z towards the viewer), xy
in [-1, 1] for positions in a frame. "left" is always the viewer's left. Time runs in frames of 1/25 second.

Pixels are made only with + - * /, square root and rounding, which IEEE arithmetic gives alike everywhere:
the same arguments make the same bytes on every machine.
"""

from prioritycut.data.puppets.clip import LANDMARKS, PairTruth, PuppetClip
from prioritycut.data.puppets.generation import LARGEST_SIZE, RATE, SMALLEST_SIZE, generate_puppet, generate_puppets

__all__ = [
    "LANDMARKS",
    "LARGEST_SIZE",
    "RATE",
    "SMALLEST_SIZE",
    "PairTruth",
    "PuppetClip",
    "generate_puppet",
    "generate_puppets",
]
