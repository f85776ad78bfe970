"""Training: one step for each network, one loop, for every model.

A step is: keypoints of source and driving frame -> prediction -> the generator's losses -> update; then the
discriminator judges real, fake and, now and then, a mixed frame -> its losses -> update. What a model or a config does
not have is left out. Every random draw of a step comes from (seed, step), so a run that was stopped goes on as if it
had not been.
"""

from prioritycut.training.judging import discriminator_losses
from prioritycut.training.loop import train
from prioritycut.training.networks import Networks, build_networks, parameter_counts
from prioritycut.training.step import generator_losses
from prioritycut.training.trainer import Trainer

__all__ = [
    "Networks",
    "Trainer",
    "build_networks",
    "discriminator_losses",
    "generator_losses",
    "parameter_counts",
    "train",
]
