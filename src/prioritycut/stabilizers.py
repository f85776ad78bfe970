"""What keeps a discriminator from running away: LeCam, R1, and colours that it cannot learn by heart.

None of it is in the paper, and all of it is off by default. Nothing here knows a model: scores, frames and a function
from frames to scores are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

from prioritycut.outputs import Frames

# LeCam


def lecam_loss(real: Tensor, fake: Tensor, real_anchor: Tensor, fake_anchor: Tensor) -> Float[Tensor, ""]:
    """Keep real scores near where fake ones have been, and fake scores near where real ones have been.

    Mean of (D(real) - fake anchor)^2, plus mean of (D(fake) - real anchor)^2; no gradient flows into the anchors.

    Source: Tseng et al., "Regularizing Generative Adversarial Networks under Limited Data", CVPR 2021.
    """
    return ((real - fake_anchor.detach()) ** 2).mean() + ((fake - real_anchor.detach()) ** 2).mean()


class ScoreAnchors(nn.Module):
    """Slow means of the scores of real and of fake frames, one of each a scale of the discriminator.

    A module for its `state_dict` alone, which a run keeps with its networks: nothing in it is learned by gradients.
    """

    real: Tensor
    fake: Tensor
    steps: Tensor

    def __init__(self, scales: int) -> None:
        super().__init__()
        self.register_buffer("real", torch.zeros(scales))
        self.register_buffer("fake", torch.zeros(scales))
        self.register_buffer("steps", torch.zeros(scales, dtype=torch.int64))

    @torch.no_grad()
    def follow(self, real: Sequence[Tensor], fake: Sequence[Tensor], *, decay: float) -> None:
        """Move towards the mean scores of a step: decay * anchor + (1 - decay) * mean; at first, take them as they are.

        Scores that are not finite are passed over. Where several processes train together, the mean is over all.
        """
        means = torch.stack([torch.stack([scores.float().mean() for scores in each]) for each in (real, fake)])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(means)
            means /= dist.get_world_size()
        finite = means.isfinite().all(0)
        keep = torch.where(self.steps > 0, decay, 0.0)
        for anchor, mean in zip((self.real, self.fake), means, strict=True):
            anchor.copy_(torch.where(finite, keep * anchor + (1 - keep) * mean, anchor))
        self.steps += finite


# R1


def r1_loss(realness: Callable[[Frames], Float[Tensor, " batch"]], real: Frames) -> Float[Tensor, ""]:
    """Ask that a discriminator be flat at real frames: mean over the batch of |gradient of D(real)|^2 / 2.

    Args:
        realness: From frames to one number a frame. It is run in float32, whatever surrounds it, and not compiled:
            its gradient is itself differentiated.
        real: The real frames, as the discriminator sees them.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018: R1 without its factor
    gamma, which is a weight.
    """
    frames = real.detach().float().requires_grad_()
    with torch.autocast(frames.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(realness(frames).sum(), frames, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2


# Colours


@dataclass(frozen=True, slots=True)
class Recoloring:
    """A change of brightness, saturation and contrast, one for each frame of a batch; the same at every pixel.

    So a mixture of recoloured frames is the recoloured mixture, and consistency keeps its meaning.

    Attributes:
        saturation: Factor on a pixel's distance from its own grey.
        contrast: Factor on everything.
        shift: Added to everything then.
    """

    saturation: Float[Tensor, " batch"]
    contrast: Float[Tensor, " batch"]
    shift: Float[Tensor, " batch"]

    def __call__(self, frames: Frames) -> Frames:
        """Frames in their new colours, which may leave [0, 1]; gradients flow through."""
        saturation, contrast, shift = (
            values.to(frames.dtype)[:, None, None, None] for values in (self.saturation, self.contrast, self.shift)
        )
        grey = frames.mean(1, keepdim=True)
        return contrast * (grey + saturation * (frames - grey)) + shift


@torch.no_grad()
def draw_recoloring(real: Frames, *, generator: torch.Generator) -> Recoloring:
    """Draw how a discriminator is to see the colours of real frames, and of the frames that imitate them.

    In this order: brightness + U(-1/4, 1/4) (half of the published one, whose frames lie in [-1, 1]), saturation
    * U(0, 2), contrast * U(1/2, 3/2). Contrast turns about the real frame's mean for its imitation too, so that both
    change alike.

    Args:
        real: For size, device and mean colour.
        generator: A CPU generator; the draw is the same on every device.

    Source: Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, policy "color".
    """
    brightness, saturation, contrast = torch.rand(3, real.shape[0], generator=generator).to(real.device)
    brightness, saturation, contrast = (brightness - 0.5) / 2, 2 * saturation, contrast + 0.5
    # Saturation leaves the mean alone, so what contrast turns about is the frame's mean, brightened.
    mean = real.float().mean((1, 2, 3))
    return Recoloring(saturation, contrast, brightness + (1 - contrast) * mean)
