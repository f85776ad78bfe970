"""Small clips."""

import pytest
import torch


@pytest.fixture
def moving() -> torch.Tensor:
    """Six frames of 16x16 on 8 bit levels, each brighter than the one before, none above 0.8."""
    levels = torch.randint(0, 100, (1, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    return (levels + 20 * torch.arange(6).view(-1, 1, 1, 1)) / 255
