"""The average of a network's weights over the steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from prioritycut.training.averaging import averaged_copy, decay_at, update_average


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1))


def test_the_average_is_the_exponential_mean_of_the_weights():
    trained = network()
    average = averaged_copy(trained)
    wanted = trained[0].weight.detach().numpy().astype(np.float64)
    for decay in (0.0, 0.5, 0.9, 0.9):
        with torch.no_grad():
            trained[0].weight.add_(torch.randn(3, 2, 1, 1))
        update_average(average, trained, decay=decay)
        wanted = decay * wanted + (1 - decay) * trained[0].weight.detach().numpy()
    np.testing.assert_allclose(average[0].weight.numpy(), wanted, rtol=1e-6, atol=1e-7)


def test_statistics_of_batch_norm_are_copied():
    trained = network()
    average = averaged_copy(trained)
    trained(torch.rand(4, 2, 5, 5))
    update_average(average, trained, decay=0.99)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(getattr(average[1], name), getattr(trained[1], name))
    assert average[1].num_batches_tracked == 1


def test_the_average_stands_apart_from_the_network():
    trained = network()
    average = averaged_copy(trained)
    assert not average.training
    assert trained.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in trained.parameters())
    with torch.no_grad():
        trained[0].weight.zero_()
    assert average[0].weight.abs().sum() > 0


def test_early_steps_forget_faster():
    assert [decay_at(step, 0.999) for step in (1, 10, 90)] == pytest.approx([2 / 11, 11 / 20, 91 / 100])
    assert decay_at(100_000, 0.999) == 0.999
    assert decay_at(1, 0.1) == 0.1
    # So little of the first, random weights is left after 50 steps; a fixed 0.999 would leave 95%.
    assert np.prod([decay_at(step, 0.999) for step in range(1, 51)]) < 1e-9


def test_networks_of_another_shape_have_no_average():
    with pytest.raises(ValueError, match="shorter"):
        update_average(averaged_copy(network()), nn.Conv2d(2, 3, 1), decay=0.5)
