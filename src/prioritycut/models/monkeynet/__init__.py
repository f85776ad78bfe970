"""Monkey-Net: keypoints with a spread, a dense flow between them, a generator whose every skip is warped.

The published network works on clips, `batch channel time height width`, with kernels that span one frame; here it
works on plain frames, and published weights load with the axis of time taken out.

Source: Siarohin et al., "Animating Arbitrary Objects via Deep Motion Transfer", CVPR 2019; SPEC 6.3.
"""

from prioritycut.models.monkeynet.config import MonkeyNetConfig, MonkeyNetDiscriminatorConfig
from prioritycut.models.monkeynet.discriminator import MonkeyNetDiscriminator
from prioritycut.models.monkeynet.model import MonkeyNet

__all__ = ["MonkeyNet", "MonkeyNetConfig", "MonkeyNetDiscriminator", "MonkeyNetDiscriminatorConfig"]
