"""Puppets: the truth they carry must explain their own pictures, by means that puppets.py does not use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prioritycut.data.puppets import LANDMARKS, PairTruth, PuppetClip, generate_puppet, generate_puppets

PAIRS = ((0, 9), (4, 20), (17, 2), (11, 23))
HELD_OUT = 7919


@pytest.fixture(scope="module")
def clips() -> list[PuppetClip]:
    return list(generate_puppets(6, frames=24, size=96, seed=HELD_OUT))


def pairs(clips: list[PuppetClip]) -> Iterator[tuple[PuppetClip, int, int, PairTruth]]:
    for clip in clips:
        for source, driving in PAIRS:
            yield clip, source, driving, clip.truth(source, driving)


def warped(frame: Tensor, deformation: Tensor) -> Tensor:
    return F.grid_sample(frame[None], deformation[None], align_corners=True, padding_mode="border")[0]


def inner(layer: Tensor) -> Tensor:
    """True where the 3 by 3 pixels around show one layer, so that no edge is near."""
    around = layer.float()[None, None]
    return (F.max_pool2d(around, 3, 1, 1) == -F.max_pool2d(-around, 3, 1, 1))[0, 0]


def identity_grid(size: int) -> Tensor:
    line = torch.linspace(-1.0, 1.0, size)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def to_pixels(position: Tensor, size: int) -> Tensor:
    return (position + 1.0) * (size - 1) / 2.0


def test_the_truth_warps_the_source_into_the_driving_frame(clips):
    for clip, source, driving, truth in pairs(clips):
        target = clip.frames[driving]
        away = inner(clip.layer[driving]) & (truth.occlusion_map[0] == 1.0)
        moving = away & (clip.layer[driving] > 0)
        explained = (warped(clip.frames[source], truth.deformation) - target).abs().mean(0)
        copied = (clip.frames[source] - target).abs().mean(0)
        assert explained[away].mean() < 0.01
        assert explained[moving].mean() < 0.02
        assert explained[moving].mean() < 0.4 * copied[moving].mean()


def test_occluded_pixels_cannot_be_explained_by_the_source(clips):
    errors = {0.0: [], 1.0: []}
    for clip, source, driving, truth in pairs(clips):
        error = (warped(clip.frames[source], truth.deformation) - clip.frames[driving]).abs().mean(0)
        for shown, found in errors.items():
            found.append(error[truth.occlusion_map[0] == shown])
    assert torch.cat(errors[0.0]).mean() > 8.0 * torch.cat(errors[1.0]).mean()


def test_a_frame_explains_itself_without_motion(clips):
    for clip in clips:
        truth = clip.truth(5, 5)
        assert (truth.deformation - identity_grid(96)).abs().max() < 1e-5
        assert (truth.occlusion_map == 1.0).all()


def test_the_background_stands_still(clips):
    for clip, _, driving, truth in pairs(clips):
        still = clip.foreground[driving, 0] == 0.0
        assert torch.allclose(truth.deformation[still], identity_grid(96)[still], atol=1e-6)


def test_uncovered_background_is_occluded(clips):
    for clip, source, driving, truth in pairs(clips):
        covered = -F.max_pool2d(-clip.foreground[source][None], 5, 1, 2)[0, 0] == 1.0
        uncovered = covered & (clip.foreground[driving, 0] == 0.0)
        assert (truth.occlusion_map[0][uncovered] == 0.0).all()


def test_keypoints_move_with_the_flow(clips):
    misses = []
    for clip, source, driving, truth in pairs(clips):
        both = clip.visible[source] & clip.visible[driving]
        start = to_pixels(clip.position[source, both], 96)
        end = to_pixels(clip.position[driving, both], 96)
        corner = end.floor().long()
        # A keypoint may lie on the very edge of its part, so the pixels around it may show the part below:
        # the one that agrees best is the part's own. Each is taken along by its distance from the keypoint.
        found = []
        for step in torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]]):
            col, row = (corner + step).clamp(0, 95).unbind(-1)
            away = end - torch.stack((col, row), dim=-1)
            found.append((to_pixels(truth.deformation[row, col], 96) + away - start).norm(dim=-1))
        misses.append(torch.stack(found).amin(0))
    miss = torch.cat(misses)
    assert miss.numel() > 100
    assert miss.median() < 0.5
    assert miss.quantile(0.9) < 1.5


def test_visible_keypoints_are_in_the_frame_and_hidden_ones_exist(clips):
    for clip in clips:
        assert (clip.position[clip.visible].abs() <= 1.0 + 1.0 / 95).all()
    visible = torch.stack([clip.visible for clip in clips]).float().mean(dim=(0, 1))
    share = dict(zip(LANDMARKS, visible.tolist(), strict=True))
    assert share["nose_tip"] > 0.9
    assert 0.1 < share["left_ear"] < 0.9  # turns behind the head
    assert all(value > 0.25 for value in share.values()), share


def test_keypoints_keep_their_sides(clips):
    def column(clip: PuppetClip, name: str) -> Tensor:
        return clip.position[:, LANDMARKS.index(name), 0]

    for clip in clips:
        for part in ("eye", "ear", "cheek", "shoulder"):
            assert (column(clip, f"left_{part}") < column(clip, f"right_{part}")).all()


def test_a_fair_share_is_hidden_and_frames_differ(clips):
    hidden = [1.0 - truth.occlusion_map.mean().item() for *_, truth in pairs(clips)]
    moved = [(clip.frames[a] - clip.frames[b]).abs().mean().item() for clip, a, b, _ in pairs(clips)]
    assert 0.02 < sum(hidden) / len(hidden) < 0.4
    assert sum(moved) / len(moved) > 0.03


def test_puppets_talk_and_blink():
    clip = generate_puppet(0, 5, frames=75, size=64)
    top, bottom = (clip.position[:, LANDMARKS.index(name)] for name in ("mouth_top", "mouth_bottom"))
    gap = (bottom - top).norm(dim=-1)
    assert gap.max() > 2.0 * gap.min()
    iris = clip.layer_names.index("left_iris")
    height = clip.affine[:, iris, :, 1].norm(dim=-1)
    assert height.min() < 0.3 * height.max()


def test_values_and_shapes_are_as_promised(clips):
    for clip in clips:
        assert clip.frames.shape == (24, 3, 96, 96)
        assert clip.frames.min() >= 0.0
        assert clip.frames.max() <= 1.0
        assert set(clip.foreground.unique().tolist()) == {0.0, 1.0}
        assert 0.15 < clip.foreground.mean() < 0.7
        assert clip.layer.max() < len(clip.layer_names)
        assert clip.affine.shape == (24, len(clip.layer_names), 2, 3)


def same(one: PuppetClip, other: PuppetClip) -> bool:
    names = ("frames", "position", "visible", "foreground", "layer", "affine")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def test_the_same_arguments_give_the_same_clip():
    assert same(generate_puppet(3, 1, frames=4, size=64), generate_puppet(3, 1, frames=4, size=64))
    assert same(generate_puppet(3, 1, frames=4, size=64), list(generate_puppets(2, frames=4, size=64, seed=3))[1])


@pytest.mark.parametrize("size", [64, 200])
def test_a_short_clip_is_the_beginning_of_a_long_one(size):
    long, short = generate_puppet(1, 2, frames=8, size=size), generate_puppet(1, 2, frames=4, size=size)
    late = generate_puppet(1, 2, frames=2, size=size, first_frame=5)
    assert torch.equal(long.frames[:4], short.frames)
    assert torch.equal(long.visible[:4], short.visible)
    assert torch.equal(long.frames[5:7], late.frames)


def test_nobody_belongs_to_two_casts():
    casts = [list(generate_puppets(12, frames=1, size=64, seed=seed)) for seed in (0, 1, 2**32 - 1)]
    everybody = [clip for cast in casts for clip in cast]
    assert len({clip.identity for clip in everybody}) == 36
    assert len({clip.name for clip in everybody}) == 36
    assert len({clip.frames.numpy().tobytes() for clip in everybody}) == 36


def test_another_take_is_the_same_person_moving_otherwise():
    first, second = (generate_puppet(4, 8, frames=8, size=64, take=take) for take in (0, 1))
    assert first.identity == second.identity
    assert first.layer_names == second.layer_names
    assert not torch.allclose(first.position, second.position, atol=0.05)
    empty = (first.foreground[0] == 0.0) & (second.foreground[0] == 0.0)
    edge = F.max_pool2d((~empty).float()[None], 5, 1, 2)[0] == 1.0
    assert torch.equal(first.frames[0][:, ~edge[0]], second.frames[0][:, ~edge[0]])


@pytest.mark.parametrize("size", [64, 100, 256])
def test_every_size_shows_the_same_drawing(size):
    clip, small = (generate_puppet(2, 6, frames=2, size=side) for side in (size, 64))
    assert torch.allclose(clip.affine, small.affine)
    assert torch.allclose(clip.position, small.position)
    if size == 64:
        return
    reduced = F.interpolate(clip.frames, (64, 64), mode="bilinear", align_corners=True, antialias=True)
    assert (reduced - small.frames).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"size": 32}, "size"),
        ({"size": 257}, "size"),
        ({"frames": 0}, "frames"),
        ({"first_frame": -1}, "first_frame"),
        ({"take": -1}, "take"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        generate_puppet(0, 0, **arguments)


def test_a_cast_out_of_range_is_refused_before_the_first_clip():
    for arguments in ({"clips": 0}, {"clips": 1, "size": 32}, {"clips": 1, "frames": 0}, {"clips": 1, "seed": -1}):
        with pytest.raises(ValueError, match="must lie in"):
            generate_puppets(**arguments)
