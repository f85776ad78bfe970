"""A slow average of a network's weights, which often draws better than the weights of any one step."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network) -> Network:
    """The average before the first step: a copy in evaluation mode that no gradient reaches."""
    return deepcopy(network).eval().requires_grad_(False)


def decay_at(step: int, decay: float) -> float:
    """The decay of one step, counted from 1: smaller at first, so that the random weights of the start are forgotten.

    min(decay, (1 + step) / (10 + step)): 0.18 in step 1, 0.99 from step 890 on.
    """
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move the average towards the network: decay * average + (1 - decay) * weights.

    Buffers (batch norm's statistics) are running means already and are copied.

    Args:
        average: What `averaged_copy` made.
        network: The network after its update, as it is: not compiled, not wrapped.
        decay: In [0, 1): 0 takes the weights as they are, towards 1 the average reaches further back.

    Source: Polyak averaging; for GANs Yazıcı et al., "The Unusual Effectiveness of Averaging in GAN Training", ICLR
    2019, and Karras et al., ICLR 2018.
    """
    for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(weight, 1 - decay)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
