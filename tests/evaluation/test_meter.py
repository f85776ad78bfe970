"""What 8 bit files do to frames."""

import numpy as np
import torch

from prioritycut.evaluation.meter import quantize


def test_predictions_are_cut_off_as_the_public_code_writes_them() -> None:
    frames = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    written = (frames.numpy() * 255).astype(np.uint8)
    assert np.array_equal(quantize(frames, down=True).numpy(), written.astype(np.float32) / 255)


def test_what_came_from_a_file_stays_as_it_is() -> None:
    levels = torch.arange(256, dtype=torch.float32).view(1, 1, 16, 16).expand(1, 3, -1, -1) / 255
    assert torch.equal(quantize(levels, down=False), levels)
