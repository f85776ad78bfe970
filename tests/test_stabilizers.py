"""LeCam, R1 and colours, by worked numbers, gradients that are known, and the three steps of the colour policy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from prioritycut.regularizers import mix
from prioritycut.stabilizers import Recoloring, ScoreAnchors, draw_recoloring, lecam_loss, r1_loss


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# LeCam


def test_lecam_is_the_mean_squared_distance_to_the_other_sides_anchor():
    real, fake = torch.tensor([1.0, 0.5]), torch.tensor([0.0, -0.5])
    # ((1 - 0.25)^2 + (0.5 - 0.25)^2) / 2 + ((0 - 0.75)^2 + (-0.5 - 0.75)^2) / 2
    wanted = (0.5625 + 0.0625) / 2 + (0.5625 + 1.5625) / 2
    assert lecam_loss(real, fake, torch.tensor(0.75), torch.tensor(0.25)).item() == pytest.approx(wanted)


def test_lecam_pulls_scores_towards_each_other_and_leaves_the_anchors():
    real, fake, high, low = (torch.tensor(value, requires_grad=True) for value in (0.9, 0.1, 0.8, 0.2))
    lecam_loss(real, fake, high, low).backward()
    assert real.grad.item() == pytest.approx(2 * (0.9 - 0.2))
    assert fake.grad.item() == pytest.approx(2 * (0.1 - 0.8))
    assert high.grad is None
    assert low.grad is None


def test_anchors_are_exponential_means_that_begin_at_the_first_scores():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(6, 2, 2, 5))  # step, real or fake, scale, patch
    anchors, wanted = ScoreAnchors(2), None
    for step in scores:
        real, fake = ([torch.from_numpy(scale).float() for scale in side] for side in step)
        anchors.follow(real, fake, decay=0.8)
        means = step.mean(-1)
        wanted = means if wanted is None else 0.8 * wanted + 0.2 * means
    np.testing.assert_allclose(torch.stack([anchors.real, anchors.fake]).numpy(), wanted, rtol=1e-5)
    assert anchors.steps.tolist() == [6, 6]


@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_scores_that_are_not_finite_leave_the_anchors_alone(fault):
    anchors = ScoreAnchors(1)
    for score in (fault, 0.5, fault, 0.7):
        anchors.follow([torch.tensor([score])], [torch.tensor([0.25])], decay=0.5)
    assert anchors.real.item() == pytest.approx(0.6)
    assert anchors.fake.item() == 0.25
    assert anchors.steps.tolist() == [2]


def _follow_together(rank: int, address: str, results: str) -> None:
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    anchors = ScoreAnchors(1)
    anchors.follow([torch.tensor([float(rank)])], [torch.tensor([10.0 * rank])], decay=0.9)
    torch.save(anchors.state_dict(), f"{results}/{rank}")
    dist.destroy_process_group()


@pytest.mark.slow
def test_processes_that_train_together_have_the_same_anchors(tmp_path):
    mp.spawn(_follow_together, (f"file://{tmp_path}/meeting", str(tmp_path)), nprocs=2)
    for rank in range(2):
        kept = torch.load(tmp_path / str(rank), weights_only=True)
        assert (kept["real"].item(), kept["fake"].item()) == (0.5, 5.0)


# R1


def test_r1_of_a_linear_judge_is_half_the_square_of_its_slope():
    slope = torch.randn(3, 4, 4, generator=generator(), requires_grad=True)
    loss = r1_loss(lambda frames: (frames * slope).sum((1, 2, 3)), torch.rand(5, 3, 4, 4))
    assert loss.item() == pytest.approx(slope.square().sum().item() / 2, rel=1e-6)
    loss.backward()
    torch.testing.assert_close(slope.grad, slope.detach())


def test_r1_is_a_mean_over_frames():
    frames = torch.rand(2, 3, 4, 4)
    # D = |x|^2 / 2 has the gradient x.
    loss = r1_loss(lambda x: x.square().sum((1, 2, 3)) / 2, frames)
    assert loss.item() == pytest.approx(frames.square().sum().item() / 4, rel=1e-6)


def test_r1_is_the_same_under_mixed_precision():
    judge = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.Softplus(), torch.nn.Flatten(), torch.nn.LazyLinear(1)
    )
    frames = torch.rand(2, 3, 6, 6)
    judge(frames)

    def loss() -> float:
        return r1_loss(lambda x: judge(x)[:, 0], frames).item()

    plain = loss()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss() == plain > 0


# Colours


def three_steps(frame: np.ndarray, mean: float, brightness: float, saturation: float, contrast: float) -> np.ndarray:
    """The policy as published, on one frame (3, rows, cols); contrast about the real frame's mean."""
    bright = frame + brightness
    grey = bright.mean(0)
    saturated = grey + saturation * (bright - grey)
    pivot = mean + brightness
    return pivot + contrast * (saturated - pivot)


def test_recoloring_is_brightness_then_saturation_then_contrast():
    real, fake = torch.rand(2, 5, 3, 6, 7, generator=generator(1))
    recoloring = draw_recoloring(real, generator=generator(2))
    drawn = torch.rand(3, 5, generator=generator(2)).numpy().astype(np.float64)
    brightness, saturation, contrast = (drawn[0] - 0.5) / 2, 2 * drawn[1], drawn[2] + 0.5
    for frames in (real, fake):
        seen = recoloring(frames).numpy()
        for sample in range(5):
            mean = real[sample].double().mean().item()
            draw = (brightness[sample], saturation[sample], contrast[sample])
            wanted = three_steps(frames[sample].double().numpy(), mean, *draw)
            np.testing.assert_allclose(seen[sample], wanted, atol=1e-6)


def test_a_mixture_of_recoloured_frames_is_the_recoloured_mixture():
    real, fake = torch.rand(2, 4, 3, 8, 8, generator=generator(3))
    recoloring = draw_recoloring(real, generator=generator(4))
    for mask in (torch.rand(4, 1, 8, 8) > 0.5, torch.rand(4, 1, 1, 1).expand(4, 1, 8, 8)):
        mixed = mix(recoloring(real), recoloring(fake), mask)
        torch.testing.assert_close(mixed, recoloring(mix(real, fake, mask)), rtol=1e-5, atol=1e-5)


def test_colours_that_do_not_change_leave_frames_as_they_are():
    frames, ones = torch.rand(2, 3, 4, 4), torch.ones(2)
    torch.testing.assert_close(Recoloring(ones, ones, torch.zeros(2))(frames), frames)


def test_gradients_flow_through_colours():
    frames = torch.rand(2, 3, 4, 4, requires_grad=True)
    recoloring = Recoloring(torch.tensor([0.0, 1.0]), torch.tensor([1.5, 0.5]), torch.zeros(2))
    recoloring(frames)[:, 0].sum().backward()
    # Without saturation red is a third of each colour.
    torch.testing.assert_close(frames.grad[0], torch.full((3, 4, 4), 0.5))
    torch.testing.assert_close(frames.grad[1], torch.tensor([0.5, 0.0, 0.0])[:, None, None].expand(3, 4, 4))


def test_colours_are_drawn_over_their_whole_range_for_each_frame_alone():
    grey = torch.full((4000, 3, 1, 1), 0.5)
    drawn = draw_recoloring(grey, generator=generator(5))
    for values, low, high in ((drawn.saturation, 0.0, 2.0), (drawn.contrast, 0.5, 1.5)):
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.03)
    # A grey frame shows the brightness alone, once contrast turns about its own mean.
    change = drawn(grey)[:, 0, 0, 0] - 0.5
    assert -0.25 <= change.min() < -0.24 < 0.24 < change.max() <= 0.25
