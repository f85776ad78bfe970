"""Discriminator regularizers: which pixels to cut, how to mix, what consistency asks. Nothing here is learned.

This room knows no model. It takes frames, a `MotionOutput` and pixel scores, so it serves networks that we did
not write. The smallest use needs three functions:

    mask = priority_cut_mask(occlusion, background, fraction)
    mixed = mix(real, fake, mask)
    loss = consistency_loss(scores(mixed), scores(real), scores(fake), mask)

Masks carry no gradient. True (or 1) means that the pixel comes from the *fake* frame, always.
"""

from prioritycut.regularizers.kinds import (
    CutMix,
    Cutout,
    Mixup,
    PriorityCut,
    RandomCut,
    Regularizer,
    draw_mask,
    maps_at_frame_size,
    partner,
)
from prioritycut.regularizers.masks import (
    BoolMask,
    Denominator,
    Map,
    Mask,
    box_mask,
    dominant_background,
    foreground_mask,
    priority_cut_mask,
    random_mask,
)
from prioritycut.regularizers.mixing import consistency_loss, mix, mix_probability

__all__ = [
    "BoolMask",
    "CutMix",
    "Cutout",
    "Denominator",
    "Map",
    "Mask",
    "Mixup",
    "PriorityCut",
    "RandomCut",
    "Regularizer",
    "box_mask",
    "consistency_loss",
    "dominant_background",
    "draw_mask",
    "foreground_mask",
    "maps_at_frame_size",
    "mix",
    "mix_probability",
    "partner",
    "priority_cut_mask",
    "random_mask",
]
