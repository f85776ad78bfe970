"""2-D FAN and S3FD: published names and sizes, crop, heatmaps and boxes by worked examples, geometry by a stub."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import KeypointDetector, Tool
from prioritycut.metrics.detectors.face_boxes import MediapipeBoxes
from prioritycut.metrics.detectors.fan import FaceCrop, FanDetector, FanNetwork, decode_heatmaps
from prioritycut.metrics.detectors.s3fd import S3fd, S3fdNetwork, decode_boxes, suppress
from prioritycut.metrics.detectors.weights import weights_version

CPU = torch.device("cpu")
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "faces"


@pytest.fixture(scope="module")
def fan() -> FanNetwork:
    """Random weights, and batch norm that knows what such weights give, so that no layer is dead."""
    torch.manual_seed(0)
    network = FanNetwork()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.rand(4, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def s3fd() -> S3fdNetwork:
    torch.manual_seed(1)
    return S3fdNetwork().eval()


@pytest.fixture(scope="module")
def files(fan: FanNetwork, s3fd: S3fdNetwork, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("fan")
    torch.save({f"module.{name}": tensor for name, tensor in fan.state_dict().items()}, folder / "2DFAN4.pth.tar")
    torch.save(s3fd.state_dict(), folder / "s3fd.pth")
    return folder / "2DFAN4.pth.tar", folder / "s3fd.pth"


def million_parameters(network: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2)


# The networks


def test_the_networks_are_as_large_as_published(fan: FanNetwork, s3fd: S3fdNetwork):
    assert million_parameters(fan) == 23.82
    assert million_parameters(s3fd) == 22.46


def test_fan_bears_the_names_and_shapes_of_the_published_weights(fan: FanNetwork):
    shapes = {name: tuple(tensor.shape) for name, tensor in fan.state_dict().items()}
    published = {
        "conv1.weight": (64, 3, 7, 7),
        "conv1.bias": (64,),
        "conv2.downsample.0.running_mean": (64,),
        "conv2.downsample.2.weight": (128, 64, 1, 1),
        "conv4.conv1.weight": (128, 128, 3, 3),
        "m0.b1_4.bn1.weight": (256,),
        "m1.b2_3.conv2.weight": (64, 128, 3, 3),
        "m2.b3_1.conv3.weight": (64, 64, 3, 3),
        "m3.b2_plus_1.conv1.weight": (128, 256, 3, 3),
        "top_m_2.bn3.running_var": (64,),
        "conv_last1.weight": (256, 256, 1, 1),
        "bn_end3.bias": (256,),
        "l3.weight": (68, 256, 1, 1),
        "bl2.bias": (256,),
        "al0.weight": (256, 68, 1, 1),
    }
    assert published.items() <= shapes.items()
    assert "conv3.downsample.0.weight" not in shapes
    assert not {"al3.weight", "bl3.weight", "m0.b2_plus_2.bn1.weight", "m4.b1_4.bn1.weight"} & shapes.keys()


def test_s3fd_bears_the_names_and_shapes_of_the_published_weights(s3fd: S3fdNetwork):
    shapes = {name: tuple(tensor.shape) for name, tensor in s3fd.state_dict().items()}
    counts = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3, 6: 2, 7: 2}
    convolutions = [f"{block}_{number}" for block, count in counts.items() for number in range(1, count + 1)]
    heads = ["conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2"]
    assert set(shapes) == {
        *(f"conv{name}.{kind}" for name in convolutions for kind in ("weight", "bias")),
        *(f"{name}.{kind}" for name in ("fc6", "fc7") for kind in ("weight", "bias")),
        *(f"conv{name}_norm.weight" for name in ("3_3", "4_3", "5_3")),
        *(f"{name}_mbox_{what}.{kind}" for name in heads for what in ("conf", "loc") for kind in ("weight", "bias")),
    }
    assert shapes["conv3_3_norm.weight"] == (256,)
    assert shapes["conv3_3_norm_mbox_conf.weight"] == (4, 256, 3, 3)
    assert shapes["conv4_3_norm_mbox_conf.weight"] == (2, 512, 3, 3)
    assert shapes["fc6.weight"] == (1024, 512, 3, 3)
    assert shapes["conv7_2_mbox_loc.weight"] == (4, 256, 3, 3)


def second_fan(weights: dict[str, Tensor], crops: Tensor) -> Tensor:
    """The FAN once more, recursively and in plain functions, from the paper's figures."""

    def norm(x: Tensor, name: str) -> Tensor:
        parts = [weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *parts))

    def convolve(x: Tensor, name: str) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def block(x: Tensor, name: str) -> Tensor:
        steps, step = [], x
        for number in (1, 2, 3):
            step = F.conv2d(norm(step, f"{name}.bn{number}"), weights[f"{name}.conv{number}.weight"], padding=1)
            steps.append(step)
        if f"{name}.downsample.2.weight" in weights:
            x = F.conv2d(norm(x, f"{name}.downsample.0"), weights[f"{name}.downsample.2.weight"])
        return torch.cat(steps, dim=1) + x

    def hourglass(x: Tensor, name: str, level: int) -> Tensor:
        low = block(F.avg_pool2d(x, 2), f"{name}.b2_{level}")
        low = block(low, f"{name}.b2_plus_1") if level == 1 else hourglass(low, name, level - 1)
        low = block(low, f"{name}.b3_{level}").repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return block(x, f"{name}.b1_{level}") + low

    x = norm(F.conv2d(crops, weights["conv1.weight"], weights["conv1.bias"], stride=2, padding=3), "bn1")
    x = block(block(F.avg_pool2d(block(x, "conv2"), 2), "conv3"), "conv4")
    for number in range(4):
        seen = norm(
            convolve(block(hourglass(x, f"m{number}", 4), f"top_m_{number}"), f"conv_last{number}"), f"bn_end{number}"
        )
        heatmaps = convolve(seen, f"l{number}")
        if number == 3:
            break
        x = x + convolve(seen, f"bl{number}") + convolve(heatmaps, f"al{number}")
    return heatmaps


def test_fan_agrees_with_a_second_derivation(fan: FanNetwork):
    crops = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        heatmaps = fan(crops)
        assert heatmaps.shape == (2, 68, 16, 16)
        torch.testing.assert_close(heatmaps, second_fan(fan.state_dict(), crops), atol=1e-3, rtol=1e-3)


def test_s3fd_agrees_with_a_second_derivation(s3fd: S3fdNetwork):
    weights = s3fd.state_dict()
    x = pixels = 255 * torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2)) - 110

    def convolve(x: Tensor, name: str, padding: int = 1, stride: int = 1) -> Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding, stride=stride)

    features: dict[str, Tensor] = {}
    order = "1_1 1_2 | 2_1 2_2 | 3_1 3_2 3_3 n | 4_1 4_2 4_3 n | 5_1 5_2 5_3 n |"
    last = ""
    for step in order.split():
        if step == "|":
            x = F.max_pool2d(x, 2)
        elif step == "n":
            name = f"conv{last}_norm"
            features[name] = F.normalize(x, dim=1) * weights[f"{name}.weight"].view(1, -1, 1, 1)
        else:
            x, last = F.relu(convolve(x, f"conv{step}")), step
    x = F.relu(convolve(F.relu(convolve(x, "fc6", 3)), "fc7", 0))
    features["fc7"] = x
    x = F.relu(convolve(F.relu(convolve(x, "conv6_1", 0)), "conv6_2", 1, 2))
    features["conv6_2"] = x
    features["conv7_2"] = F.relu(convolve(F.relu(convolve(x, "conv7_1", 0)), "conv7_2", 1, 2))
    with torch.inference_mode():
        levels = s3fd(pixels)
    assert [tuple(scores.shape[2:]) for scores, _ in levels] == [(16, 24), (8, 12), (4, 6), (6, 7), (3, 4), (2, 2)]
    for (scores, offsets), (name, feature) in zip(levels, features.items(), strict=True):
        wanted = convolve(feature, f"{name}_mbox_conf")
        if name == "conv3_3_norm":  # the likeliest of three backgrounds stands for them
            wanted = torch.stack((wanted[:, :3].max(dim=1).values, wanted[:, 3]), dim=1)
        torch.testing.assert_close(scores, wanted, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(offsets, convolve(feature, f"{name}_mbox_loc"), atol=1e-4, rtol=1e-4)


# Heatmaps and crops


def planted(x: float, y: float) -> Tensor:
    """A heatmap that is highest at a place given in cells from the centre of the first."""
    rows, cols = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    return torch.exp(-((cols - x) ** 2 + (rows - y) ** 2) / 8)


def test_a_heatmap_is_read_a_quarter_cell_towards_its_higher_neighbours():
    heatmap = torch.zeros(64, 64)
    heatmap[20, 10] = 1.0
    heatmap[20, 11], heatmap[19, 10] = 0.5, 0.5
    assert decode_heatmaps(heatmap[None, None]).tolist() == [[[10.75, 20.25]]]
    heatmap[20, 9] = 0.5
    assert decode_heatmaps(heatmap[None, None]).tolist() == [[[10.5, 20.25]]]


def test_planted_heatmaps_come_back_within_a_quarter_cell():
    places = torch.rand(40, 2, generator=torch.Generator().manual_seed(4)) * 60 + 1
    heatmaps = torch.stack([planted(x, y) for x, y in places.tolist()])
    found = decode_heatmaps(heatmaps.view(2, 20, 64, 64)).view(40, 2) - 0.5  # from the centre of the first cell
    assert (found - places).abs().max() <= 0.25 + 1e-6


def test_the_highest_cell_at_a_border_is_read_at_its_centre():
    heatmaps = torch.zeros(1, 3, 64, 64)
    heatmaps[0, 0, 0, 30], heatmaps[0, 0, 0, 31] = 1.0, 0.5
    heatmaps[0, 1, 63, 63], heatmaps[0, 1, 62, 63] = 1.0, 0.5
    heatmaps[0, 2, 5, 63], heatmaps[0, 2, 6, 0] = 1.0, 0.5  # next in memory, not in the picture
    assert decode_heatmaps(heatmaps).tolist() == [[[30.5, 0.5], [63.5, 63.5], [63.5, 5.5]]]


def test_the_crop_of_a_box_by_hand():
    crop = FaceCrop.around((78.0, 58.0, 175.5, 155.5))
    assert (crop.x, crop.y, crop.side) == pytest.approx((126.75, 106.75 - 0.12 * 97.5, 200.0))
    corners = crop.to_frame(torch.tensor([[0.0, 0.0], [64.0, 64.0], [32.0, 32.0]]), 64)
    torch.testing.assert_close(corners, torch.tensor([[26.75, -4.95], [226.75, 195.05], [126.75, 95.05]]))


@pytest.mark.parametrize(
    "box",
    [(40.0, 30.0, 110.0, 100.0), (-20.5, -11.0, 60.0, 70.0), (90.0, 40.0, 190.0, 160.0), (50.0, 50.0, 70.0, 72.0)],
)
def test_a_crop_is_what_cutting_and_resizing_by_opencv_gives(box: tuple[float, float, float, float]):
    frame = torch.rand(3, 120, 150, generator=torch.Generator().manual_seed(5))
    width, height = box[2] - box[0], box[3] - box[1]
    side = 200 * (width + height) / 195
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 - 0.12 * height
    left, top = math.trunc(x - side / 2 + side / 256), math.trunc(y - side / 2 + side / 256)
    right, bottom = math.trunc(x + side / 2), math.trunc(y + side / 2)
    margin = 300
    black = np.zeros((120 + 2 * margin, 150 + 2 * margin, 3), np.float32)
    black[margin:-margin, margin:-margin] = frame.permute(1, 2, 0).numpy()
    cut = black[margin + top : margin + bottom, margin + left : margin + right]
    wanted = cv2.resize(cut, (256, 256), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(FaceCrop.around(box).cut(frame).permute(1, 2, 0).numpy(), wanted, atol=2e-4)


class BrightestCell(nn.Module):
    """A network for which every point is where the crop is brightest."""

    def forward(self, crops: Tensor) -> Tensor:
        return F.avg_pool2d(crops.mean(dim=1, keepdim=True), 4).expand(-1, 68, -1, -1)


def blob(x: float, y: float, height: int = 100, width: int = 160) -> Tensor:
    """A frame with a bright spot, its place in pixels from the centre of the first."""
    rows, cols = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.exp(-((cols - x) ** 2 + (rows - y) ** 2) / 18).expand(3, -1, -1)


def detector(boxes: list[list[float]], network: nn.Module | None = None) -> FanDetector:
    return FanDetector(
        network=network or BrightestCell(),
        boxes=lambda frames: torch.tensor(boxes).view(-1, 4),
        tool=Tool(role="keypoints", name="fan", version="0"),
        device=CPU,
    )


def test_a_spot_of_a_wide_frame_is_returned_where_it_is():
    places = [(60.0, 40.0), (101.0, 55.0), (80.0, 62.0), (37.0, 71.0)]
    frames = torch.stack([blob(x, y) for x, y in places])
    points = detector([[40.0, 20.0, 120.0, 100.0]] * 4)(frames)
    assert points.shape == (4, 68, 2)
    assert torch.equal(points, points.trunc())  # whole pixels
    # A cell is 2.6 pixels wide and read to a quarter, a whole pixel is the one the point falls into.
    assert (points - torch.tensor(places)[:, None]).abs().max() <= 1.5


def test_frames_without_a_face_have_no_points_and_others_keep_theirs():
    frames = torch.stack([blob(60, 40)] * 4)
    nan = math.nan
    points = detector([[nan] * 4, [40.0, 20.0, 120.0, 100.0], [50.0, 50.0, 50.0, 80.0], [500.0, 500.0, 600.0, 600.0]])(
        frames
    )
    assert points[0].isnan().all()
    assert points[1].isfinite().all()
    assert points[2].isnan().all()  # a box without width
    assert points[3].isfinite().all()  # beyond the frame the crop is black, and not an error
    none = detector([[nan] * 4] * 2)(frames[:2])
    assert none.shape == (2, 68, 2)
    assert none.isnan().all()


# Boxes


def quiet_levels(batch: int = 1) -> list[tuple[Tensor, Tensor]]:
    """What a network says of a 64-pixel frame without a face."""
    levels: list[tuple[Tensor, Tensor]] = []
    for side in (16, 8, 4, 6, 3, 2):
        scores = torch.zeros(batch, 2, side, side)
        scores[:, 0] = 20.0
        levels.append((scores, torch.zeros(batch, 4, side, side)))
    return levels


def plant(levels: list[tuple[Tensor, Tensor]], level: int, row: int, col: int, face: float, image: int = 0) -> None:
    """Give one cell a probability of a face."""
    levels[level][0][image, :, row, col] = torch.tensor([math.log(1 - face), math.log(face)])


def test_a_box_is_decoded_by_hand():
    levels = quiet_levels()
    plant(levels, 2, 3, 1, 0.9)
    levels[2][1][0, :, 3, 1] = torch.tensor([1.0, -2.0, 5 * math.log(1.5), 0.0])
    # Stride 16, anchor 64: centre (24, 56) + (6.4, -12.8), width 96, height 64.
    (boxes,) = decode_boxes(levels)
    torch.testing.assert_close(boxes, torch.tensor([[30.4 - 48, 43.2 - 32, 30.4 + 48, 43.2 + 32, 0.9]]))


def test_cells_of_every_level_have_anchors_four_strides_wide():
    for level, stride in enumerate((4, 8, 16, 32, 64, 128)):
        levels = quiet_levels(2)
        plant(levels, level, 0, 1, 0.8, image=1)
        nothing, boxes = decode_boxes(levels)
        assert nothing.shape == (0, 5)
        middle, half = stride * 1.5, stride * 2
        wanted = [middle - half, stride / 2 - half, middle + half, stride / 2 + half]
        assert boxes[0, :4].tolist() == pytest.approx(wanted)


def test_overlapping_boxes_yield_to_the_better_one_by_hand():
    # Ends count: each is 10 by 10. Shared with the best: 50 of 150 (dropped), 40 of 160 (kept), none (kept).
    best, dropped, kept = [0.0, 0.0, 9.0, 9.0, 0.9], [5.0, 0.0, 14.0, 9.0, 0.8], [6.0, 0.0, 15.0, 9.0, 0.7]
    far = [50.0, 50.0, 59.0, 59.0, 0.95]
    assert suppress(torch.tensor([dropped, kept, best, far])).tolist() == torch.tensor([far, best, kept]).tolist()
    assert suppress(torch.zeros(0, 5)).shape == (0, 5)


class Fixed(nn.Module):
    """A network with one answer, which keeps what it is shown."""

    def __init__(self, levels: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, pixels: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        self.pixels = pixels
        return tuple(self.levels)


def test_the_best_face_of_each_frame_is_taken_and_unlikely_ones_are_none():
    levels = quiet_levels(3)
    plant(levels, 1, 2, 2, 0.7)
    plant(levels, 2, 3, 3, 0.95)
    plant(levels, 2, 0, 0, 0.49, image=1)
    finder = S3fd(network=Fixed(levels), device=CPU)
    boxes = finder(torch.rand(3, 3, 64, 64))
    assert boxes[0].tolist() == pytest.approx([56 - 32, 56 - 32, 56 + 32, 56 + 32])
    assert boxes[1:].isnan().all()
    assert [len(faces) for faces in finder.faces(torch.rand(3, 3, 64, 64))] == [2, 0, 0]


def test_s3fd_sees_blue_first_less_the_mean_and_small_frames_padded():
    frame = torch.zeros(1, 3, 20, 64)
    frame[:, 0], frame[:, 2] = 1.0, 0.5  # red and blue
    network = Fixed(quiet_levels())
    S3fd(network=network, device=CPU)(frame)
    assert network.pixels.shape == (1, 3, 32, 64)
    assert network.pixels[0, :, 3, 3].tolist() == [127.5 - 104, -117.0, 255.0 - 123]
    assert not network.pixels[0, :, 20:].any()


def test_s3fd_takes_frames_smaller_than_its_halvings_and_none_at_all(s3fd: S3fdNetwork):
    assert S3fd(network=s3fd, device=CPU)(torch.rand(1, 3, 17, 23)).shape == (1, 4)
    assert S3fd(network=s3fd, device=CPU)(torch.rand(0, 3, 64, 64)).shape == (0, 4)
    assert detector([])(torch.rand(0, 3, 64, 64)).shape == (0, 68, 2)


# Loading


def test_loads_both_networks_and_finds_what_they_find(files: tuple[Path, Path], fan: FanNetwork):
    loaded = FanDetector.load(files, CPU)
    assert isinstance(loaded, KeypointDetector)
    assert loaded.tool == Tool(role="keypoints", name="fan", version=weights_version(files))
    frames = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    assert loaded(frames).shape == (1, 68, 2)
    assert isinstance(loaded.network, FanNetwork)
    found, saved = loaded.network.state_dict(), fan.state_dict()
    assert all(torch.equal(found[name], saved[name]) for name in saved)


def test_boxes_may_come_from_anywhere_and_the_tool_says_so(files: tuple[Path, Path]):
    loaded = FanDetector.load(files[:1], CPU, boxes=lambda frames: torch.full((len(frames), 4), math.nan))
    assert loaded(torch.rand(1, 3, 64, 64)).isnan().all()
    assert "another detector than the paper's S3FD" in loaded.tool.note
    assert loaded.tool.version == weights_version(files[:1])


def test_a_missing_file_says_who_publishes_it_and_how_to_name_it(tmp_path: Path, files: tuple[Path, Path]):
    with pytest.raises(UserError, match=r"no such file; the 2-D FAN weights .* --keypoints fan=FILE$") as refusal:
        FanDetector.load((tmp_path / "none.pth.tar",), CPU)
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match=r"none.pth: no such file; the S3FD weights .*fan=FILE,S3FD_FILE$"):
        FanDetector.load((files[0], tmp_path / "none.pth"), CPU)


def test_files_in_the_wrong_order_are_refused_in_one_line(files: tuple[Path, Path]):
    with pytest.raises(UserError, match=r"s3fd.pth: the weights do not fit the model: .*missing") as refusal:
        FanDetector.load(files[::-1], CPU)
    assert "\n" not in str(refusal.value)


def test_takes_one_or_two_files():
    with pytest.raises(UserError, match="one or two weights files, got 0"):
        FanDetector.load((), CPU)


def test_without_s3fd_mediapipe_finds_the_faces_and_the_tool_says_so(files: tuple[Path, Path]):
    loaded = FanDetector.load(files[:1], CPU)
    assert isinstance(loaded.boxes, MediapipeBoxes)
    assert loaded.tool.note.startswith("face boxes come from mediapipe 0.")
    assert f"+mediapipe {version('mediapipe')}" in loaded.tool.label
    points = loaded(torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(7)))
    assert points.shape == (2, 68, 2)
    assert points.isnan().all()  # there is no face in noise


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real faces are not beside the project")
@pytest.mark.parametrize("name", ["s0", "s5", "s7"])
def test_mediapipe_boxes_a_face_where_dlib_does_in_wide_and_high_frames(name: str):
    picture = Image.open(REAL / f"{name}.jpg").convert("RGB")
    picture.thumbnail((400, 400))
    pixels = np.array(picture)
    found = dlib.get_frontal_face_detector()(pixels, 1)[0]
    frames = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    for frame, columns in ((frames, 0), (F.pad(frames, (90, 0)), 90)):
        left, top, right, bottom = MediapipeBoxes(user="test")(frame)[0].tolist()
        middle = ((left + right) / 2 - columns, (top + bottom) / 2)
        centre = ((found.left() + found.right()) / 2, (found.top() + found.bottom()) / 2)
        assert math.dist(middle, centre) < 0.15 * found.width()
        assert 0.7 < (right - left) / found.width() < 1.4
