"""A ResNet from the published names of its weights alone, written a second time as one plain loop over functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Normalize = Callable[[State, str, Tensor], Tensor]


def trained_statistics(state: State, name: str, x: Tensor) -> Tensor:
    """Batch norm as a network in evaluation mode has it."""
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"])


def frame_by_frame_in_training_mode(state: State, name: str, x: Tensor) -> Tensor:
    """Batch norm as a network in training mode has it, shown one frame at a time."""
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return torch.cat([F.batch_norm(one[None], None, None, weight, bias, training=True) for one in x])


def resnet_by_hand(
    state: State, prefix: str, blocks: tuple[int, ...], dilations: tuple[int, ...], normalize: Normalize, x: Tensor
) -> list[Tensor]:
    """Stem and stages. `dilations`: of the stages' later blocks; a stage strides unless it dilates more than before."""

    def conv(name: str, x: Tensor, **how: int) -> Tensor:
        return F.conv2d(x, state[f"{prefix}{name}.weight"], **how)

    def norm(name: str, x: Tensor) -> Tensor:
        return normalize(state, f"{prefix}{name}", x)

    outputs = [F.relu(norm("bn1", conv("conv1", x, stride=2, padding=3)))]
    x = F.max_pool2d(outputs[0], 3, 2, 1)
    for stage, (count, dilation, before) in enumerate(zip(blocks, dilations, (1, *dilations), strict=False), start=1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            stride = 2 if block == 0 and stage > 1 and dilation == before else 1
            holes = before if block == 0 else dilation
            y = F.relu(norm(f"{at}.bn1", conv(f"{at}.conv1", x)))
            y = F.relu(norm(f"{at}.bn2", conv(f"{at}.conv2", y, stride=stride, padding=holes, dilation=holes)))
            y = norm(f"{at}.bn3", conv(f"{at}.conv3", y))
            if block == 0:
                x = norm(f"{at}.downsample.1", conv(f"{at}.downsample.0", x, stride=stride))
            x = F.relu(x + y)
        outputs.append(x)
    return outputs


def drawn_state(module: torch.nn.Module, seed: int) -> State:
    """Stand-in weights: of He's size, with scales, shifts and statistics that a mix-up would not survive."""
    generator = torch.Generator().manual_seed(seed)
    state = dict[str, Tensor]()
    for name, value in module.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1000)
        elif name.endswith("running_var"):
            state[name] = 1 + 0.2 * noise.abs()
        elif value.ndim > 1:
            state[name] = noise * (2 / value[0].numel()) ** 0.5
        elif name.endswith("weight"):
            state[name] = 0.7 + 0.1 * noise
        else:
            state[name] = 0.1 * noise
    return state
