"""Motion transfer by worked geometry, and whole animations with a tiny network and with a foreign one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from prioritycut.animation import (
    AnimatedFrames,
    MotionTransfer,
    animate_clip,
    animate_stream,
    batches,
    best_start,
    hull_area,
    pose_distance,
    transfer_motion,
)
from prioritycut.drawing import LABEL_HEIGHT
from prioritycut.explanation import EXPLAIN_PANELS, explain_frames
from prioritycut.geometry import coordinate_grid
from prioritycut.models.base import EncodingAnimator, KeypointAnimator
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig
from prioritycut.outputs import AnimationOutput, Keypoints, MotionOutput

SQUARE = torch.tensor([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [0.1, 0.2]]])


class Foreign:
    """Someone else's model: frames carry their five keypoints in the corner; rendering writes the new ones there."""

    def detect(self, frames: torch.Tensor) -> Keypoints:
        return Keypoints(frames[:, :2, 0, :5].mT * 2 - 1)

    def render(self, source: torch.Tensor, start: Keypoints, end: Keypoints) -> AnimationOutput:
        moved = source.clone()
        moved[:, :2, 0, :5] = (end.position.mT + 1) / 2
        height, width = source.shape[-2:]
        grid = coordinate_grid(height, width).expand(source.shape[0], -1, -1, -1)
        return AnimationOutput(moved, MotionOutput(grid))

    def __call__(self, source: torch.Tensor, driving: torch.Tensor) -> AnimationOutput:
        return self.render(source, self.detect(source), self.detect(driving))


def posed(points: torch.Tensor, side: int = 8) -> torch.Tensor:
    """A frame that shows five keypoints to the foreign model."""
    frame = torch.full((3, side, side), 0.5)
    frame[:2, 0, :5] = (points.view(5, 2).T + 1) / 2
    return frame


@pytest.fixture(scope="module")
def tiny() -> Fomm:
    torch.manual_seed(0)
    hourglass = HourglassConfig(block_expansion=4, num_blocks=2, max_features=16, scale_factor=0.5)
    config = FommConfig(
        frame_size=32,
        num_keypoints=5,
        detector=hourglass,
        dense_motion=hourglass,
        block_expansion=4,
        max_features=16,
        num_bottleneck_blocks=1,
    )
    fomm = Fomm(config).eval()
    with torch.no_grad():  # local deformations that differ from frame to frame
        fomm.kp_detector.jacobian.weight.normal_(std=0.02)
    return fomm


def random_keypoints(seed: int, batch: int = 1) -> Keypoints:
    rng = np.random.default_rng(seed)
    position = rng.uniform(-0.8, 0.8, (batch, 5, 2))
    jacobian = np.eye(2) + 0.2 * rng.normal(size=(batch, 5, 2, 2))
    return Keypoints(torch.from_numpy(position), torch.from_numpy(jacobian))


# Transfer


@pytest.mark.parametrize("relative_jacobian", [True, False])
def test_a_driving_object_that_has_not_moved_leaves_the_source(relative_jacobian):
    source, driving = random_keypoints(0), random_keypoints(1)
    end = transfer_motion(source, driving, driving, relative_jacobian=relative_jacobian)
    torch.testing.assert_close(end.position, source.position)
    torch.testing.assert_close(end.jacobian, source.jacobian if relative_jacobian else driving.jacobian)


def test_relative_motion_follows_its_formula():
    source, driving, initial = random_keypoints(2), random_keypoints(3, batch=4), random_keypoints(4)
    end = transfer_motion(source, driving, initial)
    moved = source.position.numpy() + driving.position.numpy() - initial.position.numpy()
    np.testing.assert_allclose(end.position.numpy(), moved, rtol=1e-9)
    shape = driving.jacobian.numpy() @ np.linalg.inv(initial.jacobian.numpy()) @ source.jacobian.numpy()
    np.testing.assert_allclose(end.jacobian.numpy(), shape, rtol=1e-9)


def test_absolute_motion_takes_the_driving_keypoints_whatever_the_rest_says():
    driving = random_keypoints(6)
    end = transfer_motion(random_keypoints(5), driving, random_keypoints(7), relative=False, adapt_scale=True)
    assert torch.equal(end.position, driving.position)
    assert torch.equal(end.jacobian, driving.jacobian)


def test_a_source_twice_as_large_moves_twice_as_far():
    initial, driving = Keypoints(SQUARE / 2), Keypoints(SQUARE / 2 + torch.tensor([0.1, -0.2]))
    source = Keypoints(SQUARE + 0.05)
    end = transfer_motion(source, driving, initial, adapt_scale=True)
    torch.testing.assert_close(end.position, SQUARE + 0.05 + torch.tensor([0.2, -0.4]))
    plain = transfer_motion(source, driving, initial)
    torch.testing.assert_close(plain.position, SQUARE + 0.05 + torch.tensor([0.1, -0.2]))


def test_keypoints_of_two_models_do_not_mix():
    source = Keypoints(random_keypoints(0).position)
    with pytest.raises(ValueError, match="take both from one model"):
        transfer_motion(source, random_keypoints(1), random_keypoints(2))


def test_keypoints_without_jacobians_transfer_by_place_alone():
    end = transfer_motion(Keypoints(SQUARE), Keypoints(SQUARE + 0.1), Keypoints(SQUARE))
    assert end.jacobian is None
    torch.testing.assert_close(end.position, SQUARE + 0.1)


def with_spread(keypoints: Keypoints, seed: int) -> Keypoints:
    root = 0.2 * np.eye(2) + 0.1 * np.random.default_rng(seed).normal(size=(*keypoints.position.shape[:2], 2, 2))
    return Keypoints(keypoints.position, covariance=torch.from_numpy(root @ root.swapaxes(-1, -2)))


def test_spreads_are_the_driving_ones_unless_they_are_asked_to_be_relative():
    source, driving, initial = (with_spread(random_keypoints(seed), seed) for seed in range(3))
    for relative in (True, False):
        end = transfer_motion(source, driving, initial, relative=relative)
        assert torch.equal(end.covariance, driving.covariance)
    carried = driving.covariance.numpy() @ np.linalg.inv(initial.covariance.numpy()) @ source.covariance.numpy()
    end = transfer_motion(source, driving, initial, relative_covariance=True)
    np.testing.assert_allclose(end.covariance, (carried + carried.swapaxes(-1, -2)) / 2, rtol=1e-9)


def test_a_spread_that_did_not_change_leaves_the_sources_and_one_that_doubled_doubles_it():
    source, driving = with_spread(random_keypoints(0), 0), with_spread(random_keypoints(1), 1)
    still = transfer_motion(source, driving, driving, relative_covariance=True)
    torch.testing.assert_close(still.covariance, source.covariance)
    wider = Keypoints(driving.position, covariance=2 * driving.covariance)
    doubled = transfer_motion(source, wider, driving, relative_covariance=True)
    torch.testing.assert_close(doubled.covariance, 2 * source.covariance)
    with pytest.raises(ValueError, match="carry covariances, the source's do not"):
        transfer_motion(Keypoints(source.position), driving, driving, relative_covariance=True)


def test_the_area_of_a_known_square():
    areas = hull_area(Keypoints(torch.cat([SQUARE, 2 * SQUARE - 0.3])))
    np.testing.assert_allclose(areas.numpy(), [1.0, 4.0], rtol=1e-5)


def test_the_area_of_many_points_is_scipys():
    points = np.random.default_rng(8).uniform(-1, 1, (3, 12, 2))
    wanted = [ConvexHull(image).volume for image in points]
    np.testing.assert_allclose(hull_area(Keypoints(torch.from_numpy(points))).numpy(), wanted, rtol=1e-9)


@pytest.mark.parametrize("points", [torch.linspace(-1, 1, 5)[:, None].repeat(1, 2), torch.zeros(5, 2)])
def test_keypoints_on_a_line_or_a_spot_have_hardly_an_area(points):
    assert 0 <= hull_area(Keypoints(points[None])).item() < 1e-6


def test_two_keypoints_have_hardly_an_area():
    assert 0 <= hull_area(Keypoints(torch.tensor([[[0.0, 0.0], [1.0, 1.0]]]))).item() < 1e-6


# The best start


def test_a_pose_is_the_same_wherever_and_however_large_it_is():
    there = Keypoints(0.4 * SQUARE + torch.tensor([0.3, -0.1]))
    assert pose_distance(Keypoints(SQUARE), there).item() == pytest.approx(0.0, abs=1e-9)
    turned = Keypoints(SQUARE.flip(-1) * torch.tensor([1.0, -1.0]))
    assert pose_distance(Keypoints(SQUARE), turned).item() > 0.1


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_the_best_start_is_the_frame_in_the_sources_pose(batch_size):
    rng = torch.Generator().manual_seed(0)
    clip = [posed(torch.rand(5, 2, generator=rng) * 2 - 1) for _ in range(7)]
    clip[4] = posed(0.5 * SQUARE + 0.2)
    number, frame = best_start(Foreign(), posed(SQUARE), clip, batch_size=batch_size)
    assert number == 4
    assert torch.equal(frame, clip[4])


def test_there_is_no_best_start_in_an_empty_clip():
    with pytest.raises(ValueError, match="no driving frame"):
        best_start(Foreign(), posed(SQUARE), [])


# Whole animations


@pytest.mark.parametrize("relative", [True, False])
def test_the_batch_size_does_not_change_the_pictures(tiny, relative):
    rng = torch.Generator().manual_seed(1)
    source, driving = torch.rand(3, 32, 32, generator=rng), torch.rand(7, 3, 32, 32, generator=rng)
    clips = [animate_clip(tiny, source, driving, relative=relative, batch_size=size) for size in (1, 3, 7, 100)]
    assert clips[0].shape == driving.shape
    for clip in clips[1:]:
        torch.testing.assert_close(clip, clips[0], atol=1e-5, rtol=0)


def test_an_encoded_source_makes_the_pictures_that_rendering_does(tiny):
    class Plain:
        """The same model without its shortcut."""

        detect, render, __call__ = tiny.detect, tiny.render, tiny.__call__

    assert isinstance(tiny, EncodingAnimator)
    assert not isinstance(Plain(), EncodingAnimator)
    source, driving = torch.rand(3, 32, 32), torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(
        animate_clip(tiny, source, driving), animate_clip(Plain(), source, driving), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_foreign_model_is_animated_too(batch_size):
    foreign = Foreign()
    assert isinstance(foreign, KeypointAnimator)
    steps = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.1, 0.2]])
    driving = torch.stack([posed(0.4 * SQUARE + step) for step in steps])
    clip = animate_clip(foreign, posed(0.5 * SQUARE), driving, batch_size=batch_size)
    torch.testing.assert_close(foreign.detect(clip).position, 0.5 * SQUARE + steps[:, None], atol=1e-6, rtol=0)
    absolute = animate_clip(foreign, posed(0.5 * SQUARE), driving, relative=False, batch_size=batch_size)
    torch.testing.assert_close(foreign.detect(absolute).position, 0.4 * SQUARE + steps[:, None], atol=1e-6, rtol=0)


def test_relative_motion_starts_from_the_frame_it_is_told():
    foreign, driving = Foreign(), torch.stack([posed(0.4 * SQUARE), posed(0.4 * SQUARE + 0.1)])
    clip = animate_clip(foreign, posed(0.5 * SQUARE), driving, initial=driving[1])
    wanted = 0.5 * SQUARE + torch.tensor([-0.1, 0.0])[:, None, None]
    torch.testing.assert_close(foreign.detect(clip).position, wanted, atol=1e-6, rtol=0)


def test_scale_is_adapted_through_the_whole_animation():
    foreign, driving = Foreign(), torch.stack([posed(0.4 * SQUARE), posed(0.4 * SQUARE + 0.05)])
    clip = animate_clip(foreign, posed(0.8 * SQUARE), driving, adapt_scale=True)
    torch.testing.assert_close(foreign.detect(clip).position[1:], 0.8 * SQUARE + 0.1, atol=1e-5, rtol=0)


class WithoutKeypoints:
    """Someone else's model that looks at the frames themselves: it gives the mean of both."""

    def __call__(self, source: torch.Tensor, driving: torch.Tensor) -> AnimationOutput:
        grid = coordinate_grid(*source.shape[-2:]).expand(source.shape[0], -1, -1, -1)
        return AnimationOutput((source + driving) / 2, MotionOutput(grid))


def test_a_model_without_keypoints_is_animated_by_absolute_motion_alone():
    source, driving = torch.rand(3, 8, 8), torch.rand(5, 3, 8, 8)
    clip = animate_clip(WithoutKeypoints(), source, driving, relative=False, batch_size=2)
    torch.testing.assert_close(clip, (source + driving) / 2)
    with pytest.raises(ValueError, match=r"needs keypoints, which this model does not find; take absolute motion"):
        animate_clip(WithoutKeypoints(), source, driving)


def test_an_empty_clip_animates_to_an_empty_clip():
    assert animate_clip(Foreign(), posed(SQUARE), torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_a_stream_takes_no_more_of_the_clip_than_it_shows():
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield posed(SQUARE * 0.5)

    stream = animate_stream(Foreign(), posed(SQUARE), endless(), transfer=MotionTransfer(), batch_size=3)
    next(stream)
    next(stream)
    assert taken == 6


def test_batches_hold_all_frames_in_order():
    frames = [torch.full((3, 2, 2), float(number)) for number in range(7)]
    stacks = list(batches(iter(frames), 3))
    assert [len(stack) for stack in stacks] == [3, 3, 1]
    assert torch.cat(stacks)[:, 0, 0, 0].tolist() == list(range(7))


# Explanation


def explained(motion: MotionOutput, side: int = 20, panel: int = 40) -> list[torch.Tensor]:
    """The panels of the first frame."""
    batch = motion.deformation.shape[0]
    frames, keypoints = torch.rand(batch, 3, side, side), Keypoints(SQUARE.expand(batch, -1, -1))
    shown = AnimatedFrames(frames, keypoints, keypoints, AnimationOutput(torch.rand(batch, 3, side, side), motion))
    pictures = list(explain_frames(torch.rand(3, side, side), Keypoints(SQUARE), shown, panel=panel))
    assert len(pictures) == batch
    assert pictures[0].shape == (3, LABEL_HEIGHT + 40, 40 * len(EXPLAIN_PANELS))
    return list(pictures[0][:, LABEL_HEIGHT:].split(40, dim=2))


def test_each_frame_is_explained_by_every_panel_and_the_cut_marks_three_tenths():
    occlusion, background = torch.rand(2, 2, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    foreground = background[0, 0] <= 0.9
    grid = coordinate_grid(20, 20).expand(2, -1, -1, -1)
    panels = explained(MotionOutput(grid, occlusion, background))
    assert len(panels) == len(EXPLAIN_PANELS) == 7
    cut = panels[EXPLAIN_PANELS.index("cut mask")][0, ::2, ::2]
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    assert cut.sum() == math.floor(0.3 * int(foreground.sum()))
    assert not (cut.bool() & ~foreground).any()
    # What is cut is more occluded than any other foreground.
    shown = occlusion[0, 0]
    assert shown[cut.bool()].max() <= shown[foreground & ~cut.bool()].min()
    enlarged = np.kron(shown.numpy(), np.ones((2, 2)))
    np.testing.assert_allclose(panels[EXPLAIN_PANELS.index("occlusion map")][0].numpy(), enlarged, atol=1e-6)


def test_what_a_model_does_not_find_is_not_drawn_and_said_to_be_missing():
    source, driving = torch.rand(3, 20, 20), torch.rand(2, 3, 20, 20)
    frames = list(animate_stream(WithoutKeypoints(), source, driving, transfer=MotionTransfer(relative=False)))
    (pictures,) = [list(explain_frames(source, None, batch, panel=40)) for batch in frames]
    panels = [picture[:, LABEL_HEIGHT:].split(40, dim=2) for picture in pictures]
    enlarged = torch.from_numpy(np.kron(driving.numpy(), np.ones((1, 1, 2, 2))).astype(np.float32))
    for index, row in enumerate(panels):
        torch.testing.assert_close(row[EXPLAIN_PANELS.index("driving")], enlarged[index])
    with_maps = torch.rand(2, 2, 1, 20, 20)
    motion = MotionOutput(frames[0].output.motion.deformation, *with_maps)
    shown = AnimatedFrames(driving, None, None, AnimationOutput(driving, motion))
    complete = next(explain_frames(source, None, shown, panel=40))
    words = [picture[:, :LABEL_HEIGHT].split(40, dim=2) for picture in (pictures[0], complete)]
    for name, word, usual in zip(EXPLAIN_PANELS, *words, strict=True):
        assert torch.equal(word, usual) == (name not in ("occlusion map", "background", "cut mask"))


def test_what_a_model_does_not_estimate_is_left_grey():
    panels = explained(MotionOutput(coordinate_grid(5, 5)[None]))
    for name in ("occlusion map", "background", "cut mask"):
        assert panels[EXPLAIN_PANELS.index(name)].eq(0.5).all()
