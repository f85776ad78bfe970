"""FBA matting: layout, what it is shown, its arithmetic by worked examples, and what a trimap leaves in no doubt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from resnet_by_hand import State, drawn_state, resnet_by_hand
from torch import Tensor

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.fba import FbaMatting, FbaNetwork, fused_alpha, known_regions, nearness

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def drawn_frames(height: int, width: int, *, batch: int = 1, seed: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def banded_trimap(height: int, width: int) -> Tensor:
    """Background to the left, foreground to the right, unknown between."""
    trimap = torch.full((1, 1, height, width), 0.5)
    trimap[..., : width // 4] = 0.0
    trimap[..., -(width // 3) :] = 1.0
    return trimap


@pytest.fixture(scope="module")
def state() -> State:
    state = drawn_state(FbaNetwork(), seed=8)
    # Small colours and an alpha near a half, so that neither saturates and every part of the decoder counts.
    state["decoder.conv_up4.4.weight"] *= 0.15
    state["decoder.conv_up4.4.bias"][0] = 0.5
    return state


@pytest.fixture(scope="module")
def file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("fba") / "FBA.pth"
    torch.save(state, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def matting(file: Path) -> FbaMatting:
    return FbaMatting.load((file,), "cpu")


@pytest.fixture(scope="module")
def wired() -> FbaMatting:
    """Wired by hand: alpha is the frame's green, both colours are grey before they are fused."""
    network = FbaNetwork().eval()
    with torch.no_grad():
        for weight in network.decoder.conv_up4.parameters():
            weight.zero_()
        one, two, three = (network.decoder.conv_up4[index].weight for index in (0, 2, 4))
        one[0, 64 + 3 + 1, 1, 1] = 1.0  # 64 features, the normalized frame, the frame, the known regions
        two[0, 0, 1, 1] = 1.0
        three[0, 0] = 1.0
    return FbaMatting(network, version="wired")


def test_has_the_published_number_of_weights_under_the_published_names():
    state = FbaNetwork().state_dict()
    encoder = 25_557_032 - 2_049_000 + 8 * 64 * 49  # a ResNet-50's, less its classifier, with 11 channels instead of 3
    decoder = 4 * (2048 * 256 + 3 * 256)
    decoder += 9 * 3072 * 256 + 3 * 256 + 9 * 256 * 256 + 3 * 256
    decoder += 9 * 512 * 256 + 3 * 256
    decoder += 9 * 320 * 64 + 3 * 64
    decoder += 9 * 72 * 32 + 32 + 9 * 32 * 16 + 16 + 16 * 7 + 7
    assert sum(weight.numel() for weight in state.values()) == encoder + decoder == 34_693_031
    assert round(34_693_031 * 4 / 1e6) == 139  # MB, as the published file is said to have
    expected = {
        "encoder.conv1.weight": (64, 11, 7, 7),
        "encoder.layer3.5.bn3.weight": (1024,),
        "encoder.layer4.0.downsample.1.bias": (2048,),
        "decoder.ppm.0.1.weight": (256, 2048, 1, 1),
        "decoder.ppm.3.2.bias": (256,),
        "decoder.conv_up1.0.weight": (256, 3072, 3, 3),
        "decoder.conv_up1.3.bias": (256,),
        "decoder.conv_up1.4.weight": (256,),
        "decoder.conv_up2.0.weight": (256, 512, 3, 3),
        "decoder.conv_up3.0.weight": (64, 320, 3, 3),
        "decoder.conv_up3.1.weight": (64,),
        "decoder.conv_up4.0.weight": (32, 72, 3, 3),
        "decoder.conv_up4.2.weight": (16, 32, 3, 3),
        "decoder.conv_up4.4.weight": (7, 16, 1, 1),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected
    assert not any("running" in name or "fc" in name for name in state)


def test_nearness_falls_like_three_bells_around_what_is_known():
    trimap = torch.full((1, 1, 20, 30), 0.5)
    trimap[0, 0, 4, 5] = 0.0
    trimap[0, 0, 10, 20] = 1.0
    near = nearness(known_regions(trimap))
    assert near.shape == (1, 6, 20, 30)
    # Six pixels down and eight to the right of the known background: ten away. Deviations are 2, 8 and 16% of 320.
    assert near[0, :3, 10, 13].tolist() == pytest.approx([math.exp(-100 / (2 * s * s)) for s in (6.4, 25.6, 51.2)])
    assert near[0, 3:, 10, 13].tolist() == pytest.approx([math.exp(-49 / (2 * s * s)) for s in (6.4, 25.6, 51.2)])
    assert near[0, :3, 4, 5].tolist() == near[0, 3:, 10, 20].tolist() == [1, 1, 1]


def test_nearness_measures_to_the_nearest_of_many_pixels():
    known = torch.rand(2, 2, 9, 13, generator=torch.Generator().manual_seed(3)).gt(0.9).float()
    near = nearness(known)
    rows, cols = np.mgrid[:9, :13]
    for image in range(2):
        for region in range(2):
            ys, xs = np.nonzero(known[image, region].numpy())
            squared = ((rows[..., None] - ys) ** 2 + (cols[..., None] - xs) ** 2).min(-1)
            np.testing.assert_allclose(near[image, 3 * region], np.exp(-squared / (2 * 6.4**2)), rtol=1e-5)


def test_where_nothing_is_known_nothing_is_near():
    assert nearness(known_regions(torch.full((1, 1, 8, 8), 0.5))).abs().max() == 0
    near = nearness(known_regions(torch.zeros(1, 1, 8, 8)))
    assert near[:, :3].min() == 1
    assert near[:, 3:].max() == 0


def test_the_encoder_sees_the_normalized_frame_the_nearness_and_the_known_regions(matting):
    seen = list[Tensor]()
    handle = matting.network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    frames, trimap = drawn_frames(16, 24), banded_trimap(16, 24)
    matting(frames, trimap)
    handle.remove()
    assert seen[0].shape == (1, 11, 16, 24)
    torch.testing.assert_close(seen[0][:, :3], (frames - MEAN) / STD)
    torch.testing.assert_close(seen[0][:, 3:9], nearness(known_regions(trimap)))
    assert torch.equal(seen[0][:, 9:10], (trimap == 0).float())
    assert torch.equal(seen[0][:, 10:], (trimap == 1).float())


def test_fused_alpha_is_the_worked_example():
    # C = 0.3 and alpha = 0.3 with F = B = 0.5: F becomes 0.09 + 0.91/2 - 0.21/2 = 0.44,
    # B becomes 0.21 + 0.51/2 - 0.21 * 0.44 = 0.3726, and alpha
    # (0.1 * 0.3 + 3 * (0.3 - 0.3726) * (0.44 - 0.3726)) / (0.1 + 3 * (0.44 - 0.3726)^2).
    grey = torch.full((1, 3, 1, 1), 0.5)
    fused = fused_alpha(torch.full((1, 3, 1, 1), 0.3), torch.full((1, 1, 1, 1), 0.3), grey, grey)
    assert fused.item() == pytest.approx((0.03 - 3 * 0.0726 * 0.0674) / (0.1 + 3 * 0.0674**2), rel=1e-5)


def test_fusion_leaves_alone_what_agrees_already_and_corrects_what_does_not():
    foreground, background = torch.ones(1, 3, 5, 1), torch.zeros(1, 3, 5, 1)
    alpha = torch.linspace(0, 1, 5).view(1, 1, 5, 1)
    frames = alpha * foreground + (1 - alpha) * background
    torch.testing.assert_close(fused_alpha(frames, alpha, foreground, background), alpha)
    # White before black is foreground, even where the network is in doubt.
    doubted = fused_alpha(
        torch.ones(1, 3, 1, 1), torch.full((1, 1, 1, 1), 0.5), foreground[:, :, :1], background[:, :, :1]
    )
    assert 0.5 < doubted.item() <= 1


def test_alpha_is_read_from_the_frame_at_its_place_in_the_last_layers(wired):
    height, width = 21, 43  # no multiples of 8
    frames = torch.full((1, 3, height, width), 0.3)
    alpha = wired(frames, torch.full((1, 1, height, width), 0.5))
    assert alpha.shape == (1, 1, height, width)
    inner = alpha[..., 2:-2, 2:-2]  # beyond the last column the frame goes on, beyond the first there is nothing
    assert inner.unique().tolist() == pytest.approx([0.134828], abs=2e-6)  # the worked example
    left_dark = frames.clone()
    left_dark[..., :20] = 0.0
    placed = wired(left_dark, torch.full((1, 1, height, width), 0.5))
    assert placed[..., 2:-2, 2:18].std() < 1e-6
    assert placed[..., 2:-2, 22:-2].unique().tolist() == pytest.approx([0.134828], abs=2e-6)


def by_hand(state: State, frames: Tensor, trimaps: Tensor) -> Tensor:
    """The whole network from its published names, standardizing filters at every use, as it was trained."""

    def conv(name: str, x: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def block(name: str, at: int, x: Tensor) -> Tensor:
        normed = F.group_norm(
            conv(f"{name}.{at}", x), 32, state[f"{name}.{at + 1}.weight"], state[f"{name}.{at + 1}.bias"]
        )
        return F.leaky_relu(normed, 0.01)

    def grown(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)

    state = {
        name: _standardized(value) if value.ndim == 4 and "conv_up4" not in name else value
        for name, value in state.items()
    }
    normalized, known = (frames - MEAN) / STD, torch.cat([trimaps == 0, trimaps == 1], 1).float()
    encoded = resnet_by_hand(
        state,
        "encoder.",
        (3, 4, 6, 3),
        (1, 1, 2, 4),
        lambda state, name, x: F.group_norm(x, 32, state[f"{name}.weight"], state[f"{name}.bias"]),
        torch.cat([normalized, nearness(known), known], 1),
    )
    deep = encoded[4]
    pooled = [
        grown(block(f"decoder.ppm.{i}", 1, F.adaptive_avg_pool2d(deep, size)), deep)
        for i, size in enumerate((1, 2, 3, 6))
    ]
    x = block("decoder.conv_up1", 3, block("decoder.conv_up1", 0, torch.cat([deep, *pooled], 1)))
    x = block("decoder.conv_up2", 0, torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear"), encoded[1]], 1))
    x = block("decoder.conv_up3", 0, torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear"), encoded[0]], 1))
    x = torch.cat([F.interpolate(x, scale_factor=2, mode="bilinear"), normalized, frames, known], 1)
    x = F.leaky_relu(conv("decoder.conv_up4.2", F.leaky_relu(conv("decoder.conv_up4.0", x), 0.01)), 0.01)
    x = conv("decoder.conv_up4.4", x)
    return fused_alpha(frames, x[:, :1].clamp(0, 1), x[:, 1:4].sigmoid(), x[:, 4:].sigmoid())


def _standardized(weight: Tensor) -> Tensor:
    deviation, mean = torch.std_mean(weight, dim=(1, 2, 3), keepdim=True)
    return (weight - mean) / deviation


def test_gives_the_alpha_of_the_network_written_a_second_time(matting, state):
    frames, trimap = drawn_frames(32, 48, batch=2), banded_trimap(32, 48).expand(2, -1, -1, -1)
    unknown = (trimap == 0.5).expand(2, -1, -1, -1)
    expected, alpha = by_hand(state, frames, trimap)[unknown], matting(frames, trimap)[unknown]
    assert expected.std() > 0.1  # it says something
    torch.testing.assert_close(alpha, expected, rtol=0, atol=2e-3)


def test_filters_before_a_norm_count_by_their_shape_alone(matting, state, tmp_path):
    path = tmp_path / "scaled.pth"
    torch.save(
        {
            name: 3 * value + 0.5 if value.ndim == 4 and "conv_up4" not in name else value
            for name, value in state.items()
        },
        path,
    )
    scaled = FbaMatting.load((path,), "cpu")
    path.unlink()
    filters = scaled.network.encoder.layer2[1].conv2.weight.flatten(1)
    torch.testing.assert_close(filters.mean(1), torch.zeros(128), rtol=0, atol=1e-5)
    torch.testing.assert_close(filters.std(1), torch.ones(128), rtol=1e-3, atol=0)
    frames, trimap = drawn_frames(16, 24), banded_trimap(16, 24)
    torch.testing.assert_close(scaled(frames, trimap), matting(frames, trimap), rtol=0, atol=5e-3)
    assert scaled.version != matting.version


@pytest.mark.parametrize(("height", "width"), [(32, 32), (21, 43), (5, 70), (1, 1)])
def test_alpha_has_the_frames_size_and_is_0_and_1_where_the_trimap_knows(matting, height, width):
    frames, trimap = drawn_frames(height, width), banded_trimap(height, width)
    alpha = matting(frames, trimap)
    assert alpha.shape == (1, 1, height, width)
    assert torch.equal(alpha[trimap == 0], trimap[trimap == 0])
    assert torch.equal(alpha[trimap == 1], trimap[trimap == 1])
    assert bool(((alpha >= 0) & (alpha <= 1)).all())


def test_sides_are_padded_by_repeating_the_last_row_and_column(matting):
    frames, trimap = drawn_frames(21, 29), banded_trimap(21, 29)
    rows, cols = torch.arange(24).clamp(max=20), torch.arange(32).clamp(max=28)
    grown = [part[:, :, rows][..., cols] for part in (frames, trimap)]
    torch.testing.assert_close(matting(frames, trimap), matting(*grown)[..., :21, :29])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_trimap_without_doubt_is_its_own_matte(matting, value):
    trimap = torch.full((2, 1, 12, 20), value)
    assert torch.equal(matting(drawn_frames(12, 20, batch=2), trimap), trimap)


def test_a_trimap_that_knows_nothing_and_any_grey_between_are_left_to_the_network(matting):
    frames = drawn_frames(16, 16)
    alpha = matting(frames, torch.full((1, 1, 16, 16), 0.5))
    assert alpha.std() > 0
    # Files have 127 of 255 for it.
    assert torch.equal(matting(frames, torch.full((1, 1, 16, 16), 127 / 255)), alpha)


def test_says_which_tool_it_is(matting):
    assert (matting.name, len(matting.version)) == ("fba", 12)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"encoder.conv1.weight": torch.zeros(64, 3, 7, 7)}, r"\(64, 3, 7, 7\) instead of \(64, 11, 7, 7\)"),
        ({"encoder.bn1.running_mean": torch.zeros(64)}, "unexpected .encoder.bn1.running_mean"),
    ],
)
def test_the_weights_of_another_network_are_refused_in_one_line(state, tmp_path, change, fault):
    hollow = {name: torch.zeros(()).expand(value.shape) for name, value in state.items()}
    torch.save(hollow | change, tmp_path / "other.pth")
    with pytest.raises(UserError, match=fault) as caught:
        FbaMatting.load((tmp_path / "other.pth",), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("files", [(), (Path("absent.pth"),), (Path("a.pth"), Path("b.pth"))])
def test_who_names_no_weights_is_told_what_they_are_and_how_to_name_them(files):
    with pytest.raises(UserError, match="FBA matting") as caught:
        FbaMatting.load(files, "cpu")
    message = str(caught.value)
    assert "--matting fba=FILE" in message
    assert "MarcoForte/FBA_Matting" in message
    assert "non-commercial" in message
    assert ("absent.pth" if len(files) == 1 else f"got {len(files)}") in message
    assert "\n" not in message
