"""Part-affinity body pose: published names and sizes, joints and people by planted maps, geometry by a stub."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.affinity_decoding import JOINTS, LIMBS, Peak, connect, find_peaks, group_people
from prioritycut.metrics.detectors.base import KeypointDetector, Tool
from prioritycut.metrics.detectors.part_affinity import (
    MIRRORED_JOINTS,
    MIRRORED_LIMBS,
    CoarseMaps,
    PartAffinityDetector,
    PartAffinityNetwork,
    averaged_fields,
    averaged_heatmaps,
    original_names,
    port_names,
)
from prioritycut.metrics.detectors.weights import weights_version

CPU = torch.device("cpu")
TOOL = Tool(role="keypoints", name="part-affinity", version="0")


@pytest.fixture(scope="module")
def network() -> PartAffinityNetwork:
    """Random weights of a size that lets signals through."""
    torch.manual_seed(0)
    network = PartAffinityNetwork().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.mul_(6**0.5)  # from PyTorch's uniform start to He's
    return network


@pytest.fixture(scope="module")
def file(network: PartAffinityNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in under the names of the port in the public evaluation code."""
    numbered = {original: port for port, original in port_names().items()}
    weights = network.state_dict()
    path = tmp_path_factory.mktemp("part-affinity") / "pose_model.pth"
    torch.save({f"{numbered[name.split('.')[0]]}.{name.split('.')[1]}": weights[name] for name in weights}, path)
    return path


# The network


def test_the_network_is_as_large_as_published(network: PartAffinityNetwork):
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 52.3


def test_bears_the_names_and_shapes_of_the_original(network: PartAffinityNetwork):
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    published = {
        "conv1_1.weight": (64, 3, 3, 3),
        "conv3_4.bias": (256,),
        "conv4_3_CPM.weight": (256, 512, 3, 3),
        "conv4_4_CPM.weight": (128, 256, 3, 3),
        "conv5_1_CPM_L1.weight": (128, 128, 3, 3),
        "conv5_4_CPM_L2.weight": (512, 128, 1, 1),
        "conv5_5_CPM_L1.weight": (38, 512, 1, 1),
        "conv5_5_CPM_L2.weight": (19, 512, 1, 1),
        "Mconv1_stage2_L1.weight": (128, 185, 7, 7),
        "Mconv5_stage4_L2.weight": (128, 128, 7, 7),
        "Mconv6_stage6_L1.weight": (128, 128, 1, 1),
        "Mconv7_stage6_L1.bias": (38,),
        "Mconv7_stage6_L2.weight": (19, 128, 1, 1),
    }
    assert published.items() <= shapes.items()
    assert len(shapes) == 2 * (12 + 2 * 5 + 5 * 2 * 7)


def test_the_numbers_of_the_port_in_the_evaluation_code_are_understood(network: PartAffinityNetwork):
    names = port_names()
    known = {
        "model0.0": "conv1_1",
        "model0.2": "conv1_2",
        "model0.5": "conv2_1",
        "model0.16": "conv3_4",
        "model0.19": "conv4_1",
        "model0.25": "conv4_4_CPM",
        "model1_1.0": "conv5_1_CPM_L1",
        "model1_2.8": "conv5_5_CPM_L2",
        "model2_1.0": "Mconv1_stage2_L1",
        "model6_2.12": "Mconv7_stage6_L2",
    }
    assert known.items() <= names.items()
    weights = network.state_dict()
    assert {name.split(".")[0] for name in weights} == set(names.values())
    assert original_names({"model3_2.12.bias": torch.ones(19), "conv1_1.weight": torch.ones(1)}).keys() == {
        "Mconv7_stage3_L2.bias",
        "conv1_1.weight",
    }


def test_the_network_agrees_with_a_second_derivation(network: PartAffinityNetwork):
    weights = network.state_dict()
    pixels = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(1)) - 0.5

    def convolve(x: Tensor, name: str) -> Tensor:
        kernel = weights[f"{name}.weight"]
        return F.conv2d(x, kernel, weights[f"{name}.bias"], padding=(kernel.shape[2] - 1) // 2)

    x = pixels
    trunk = (("1_1", "1_2"), ("2_1", "2_2"), ("3_1", "3_2", "3_3", "3_4"), ("4_1", "4_2", "4_3_CPM", "4_4_CPM"))
    for block in trunk:
        x = F.max_pool2d(x, 2) if block != trunk[0] else x
        for name in block:
            x = F.relu(convolve(x, f"conv{name}"))
    features, fields, heatmaps = x, torch.empty(0), torch.empty(0)
    for stage in range(1, 7):
        seen = features if stage == 1 else torch.cat((fields, heatmaps, features), dim=1)
        count = 5 if stage == 1 else 7
        said: list[Tensor] = []
        for branch in ("L1", "L2"):
            x = seen
            for number in range(1, count + 1):
                layer = f"conv5_{number}_CPM_{branch}" if stage == 1 else f"Mconv{number}_stage{stage}_{branch}"
                x = convolve(x, layer)
                x = F.relu(x) if number < count else x
            said.append(x)
        fields, heatmaps = said
    with torch.inference_mode():
        found_fields, found_heatmaps = network(pixels)
    assert found_fields.shape == (1, 38, 4, 6)
    assert found_heatmaps.shape == (1, 19, 4, 6)
    assert heatmaps.std() > 1e-4  # the signal came through
    torch.testing.assert_close(found_fields, fields, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(found_heatmaps, heatmaps, atol=1e-5, rtol=1e-3)


# Joints and people


def heatmap(*places: tuple[int, int], height: int = 60, width: int = 90, peak: float = 1.0) -> np.ndarray:
    """Bright spots at pixels (x, y)."""
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    spots = [peak * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / 8) for x, y in places]
    return np.max(spots, axis=0) if spots else np.zeros((height, width), np.float32)


def field(*limbs: tuple[tuple[int, int], tuple[int, int]], height: int = 60, width: int = 90) -> np.ndarray:
    """Unit vectors from start to end in a band two pixels to each side of a line."""
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    result = np.zeros((2, height, width), np.float32)
    for (x1, y1), (x2, y2) in limbs:
        length = np.hypot(x2 - x1, y2 - y1)
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        along = (cols - x1) * ux + (rows - y1) * uy
        across = np.abs((cols - x1) * uy - (rows - y1) * ux)
        band = (along >= -1) & (along <= length + 1) & (across <= 2)
        result[0][band], result[1][band] = ux, uy
    return result


def test_joints_are_found_where_they_were_planted_from_above():
    found = find_peaks(heatmap((70, 50), (10, 8), (40, 8)))
    assert [(peak.x, peak.y) for peak in found] == [(10, 8), (40, 8), (70, 50)]
    assert [peak.score for peak in found] == pytest.approx([1, 1, 1])


def test_a_spot_of_a_tenth_is_no_joint():
    assert find_peaks(heatmap((20, 20), peak=0.1)) == []
    assert len(find_peaks(heatmap((20, 20), peak=0.11))) == 1


def test_a_weak_maximum_beside_a_stronger_one_moves_to_it():
    spot = np.zeros((9, 9), np.float32)
    spot[4, 4], spot[3, 5] = 0.5, 0.9  # neighbours across a corner: both surpass their four neighbours
    assert [(peak.x, peak.y) for peak in find_peaks(spot)] == [(5, 3), (5, 3)]
    spot[3, 5], spot[4, 8] = 0.0, 0.9  # too far
    assert [(peak.x, peak.y) for peak in find_peaks(spot)] == [(4, 4), (8, 4)]


def test_limbs_follow_the_field_and_not_the_shortest_way():
    elbows = [Peak(20, 10, 1.0), Peak(40, 10, 1.0)]
    wrists = [Peak(20, 30, 1.0), Peak(40, 30, 1.0)]
    crossed = field(((20, 10), (40, 30)))
    other = field(((40, 10), (20, 30)))
    crossed[:, (other != 0).any(axis=0)] = other[:, (other != 0).any(axis=0)]
    # Where the limbs cross one hides the other, for two places of ten: the hidden one does not stand.
    assert [(one.start, one.end) for one in connect(elbows, wrists, crossed)] == [(1, 0)]
    straight = field(((20, 10), (20, 30)), ((40, 10), (40, 30)))
    assert {(one.start, one.end) for one in connect(elbows, wrists, straight)} == {(0, 0), (1, 1)}


def test_a_limb_against_the_field_or_too_long_does_not_stand():
    start, end = Peak(10, 5, 1.0), Peak(10, 25, 1.0)
    right = field(((10, 5), (10, 25)))
    (found,) = connect([start], [end], right)
    assert found.score == pytest.approx(1.0, abs=1e-6)
    assert connect([start], [end], -right) == []
    assert connect([start], [end], 0.04 * right) == []
    # Longer than half of the 60 rows: 80 pixels take 1 - 30 / 80 off.
    (long,) = connect([Peak(5, 30, 1.0)], [Peak(85, 30, 1.0)], field(((5, 30), (85, 30))))
    assert long.score == pytest.approx(30 / 80, abs=1e-6)
    assert connect([Peak(5, 30, 1.0)], [Peak(85, 30, 1.0)], 0.5 * field(((5, 30), (85, 30)))) == []


def test_every_joint_has_at_most_one_limb_of_a_kind_the_better_one():
    start = Peak(10, 5, 1.0)
    near, far = Peak(10, 15, 1.0), Peak(10, 25, 1.0)
    both = field(((10, 5), (10, 25)))
    both[:, 16:] *= 0.5
    (found,) = connect([start], [far, near], both)
    assert found.end == 1


BODY = {
    "nose": (20, 6),
    "neck": (20, 14),
    "right shoulder": (14, 14),
    "right elbow": (10, 24),
    "right wrist": (8, 34),
    "left shoulder": (26, 14),
    "left elbow": (30, 24),
    "left wrist": (44, 24),
    "right hip": (16, 34),
    "right knee": (15, 44),
    "right ankle": (15, 54),
    "left hip": (24, 34),
}


def scene(
    people: list[dict[str, tuple[int, int]]],
) -> tuple[list[list[Peak]], np.ndarray, dict[str, list[tuple[int, int]]]]:
    """Peaks and fields of several people, and where each joint is, in the order of the peaks."""
    peaks = [find_peaks(heatmap(*(one[joint] for one in people if joint in one))) for joint in JOINTS]
    fields = np.stack(
        [field(*((one[start], one[end]) for one in people if start in one and end in one)) for start, end in LIMBS]
    )
    return peaks, fields, {joint: [(peak.x, peak.y) for peak in peaks[number]] for number, joint in enumerate(JOINTS)}


def test_the_joints_of_two_people_are_told_apart_even_where_they_are_nearer_to_the_other():
    second = {joint: (x + 34, y + 2) for joint, (x, y) in BODY.items() if joint not in ("nose", "left hip")}
    peaks, fields, places = scene([BODY, second])
    # The first one's left wrist (44, 24) is nearer to the second one's right elbow (44, 26) than to its own elbow.
    people = group_people(peaks, fields)
    assert len(people) == 2
    found = [{JOINTS[joint]: places[JOINTS[joint]][peak] for joint, peak in one.joints.items()} for one in people]
    assert found == [BODY, second]  # the one of whom more is seen first


def test_two_joints_are_no_person_and_parts_that_meet_late_are_one():
    peaks, fields, places = scene([{"right elbow": (10, 24), "right wrist": (8, 34)}])
    assert group_people(peaks, fields) == []
    # Eye and ear come after the neck's limbs, and the nose joins what was two.
    head = {
        "neck": (20, 30),
        "nose": (20, 20),
        "right eye": (16, 16),
        "right ear": (10, 18),
        "right shoulder": (14, 32),
    }
    peaks, fields, places = scene([head])
    (person,) = group_people(peaks, fields)
    assert {JOINTS[joint]: places[JOINTS[joint]][peak] for joint, peak in person.joints.items()} == head


# Geometry


class Bright(nn.Module):
    """A network that sees every joint where the picture is bright, and a given field everywhere."""

    def __init__(self, joints: tuple[str, ...] = JOINTS, flow: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.joints, self.flow = [JOINTS.index(joint) for joint in joints], flow

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        self.pixels = pixels
        light = F.avg_pool2d(pixels + 0.5, 8).mean(dim=1)
        heatmaps = light.new_zeros(len(light), 19, *light.shape[1:])
        heatmaps[:, self.joints] = light[:, None]
        fields = light.new_zeros(len(light), 38, *light.shape[1:])
        fields[:, 0], fields[:, 1] = self.flow
        return fields, heatmaps


def blob(*places: tuple[float, float], height: int = 100, width: int = 160) -> Tensor:
    """A frame with bright spots, their places in pixels from the centre of the first."""
    rows, cols = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    spots = [torch.exp(-((cols - x) ** 2 + (rows - y) ** 2) / 50) for x, y in places]
    return torch.stack(spots).amax(dim=0).expand(3, -1, -1)


def bright_detector(*scales: float) -> PartAffinityDetector:
    return PartAffinityDetector(network=Bright(), tool=TOOL, device=CPU, scales=scales)


@pytest.mark.parametrize("size", [(100, 160), (160, 100), (90, 90)])
def test_a_spot_of_a_frame_of_any_shape_is_returned_where_it_is(size: tuple[int, int]):
    height, width = size
    places = [(30.0, 25.0), (width - 21.0, height - 31.0)]
    frames = torch.stack([blob(place, height=height, width=width) for place in places])
    points = bright_detector(0.5, 1.0)(frames)
    assert points.shape == (2, 18, 2)
    assert torch.equal(points, points.round())
    assert (points - torch.tensor(places)[:, None]).abs().max() <= 1


def test_of_several_joints_of_a_kind_the_last_row_by_row_counts_and_dark_frames_have_none():
    frames = torch.stack([blob((120, 30), (40, 70)), blob((40, 30), (120, 70)), torch.zeros(3, 100, 160)])
    points = bright_detector(1.0)(frames)
    assert (points[0] - torch.tensor([40, 70])).abs().max() <= 1
    assert (points[1] - torch.tensor([120, 70])).abs().max() <= 1
    assert points[2].isnan().all()
    assert bright_detector(1.0)(frames[:0]).shape == (0, 18, 2)


def test_the_mirror_swaps_the_sides_of_the_body_and_turns_fields_round():
    assert MIRRORED_JOINTS == (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
    channels = [channel for limb in MIRRORED_LIMBS for channel in (2 * limb, 2 * limb + 1)]
    published = [*range(6, 12), *range(6), *range(20, 28), *range(12, 20), 28, 29, 32, 33, 30, 31, 36, 37, 34, 35]
    assert channels == published
    # A network that calls the only spot a left wrist, in the frame and in its mirror, is of two minds.
    network, frame = Bright(("left wrist",), (0.8, 0.4)), blob((40, 30))
    seen, mirror = (CoarseMaps.of(network, picture, (1.0,)) for picture in (frame, frame.flip(-1)))
    spots, fields = averaged_heatmaps(seen, mirror)[:, 30, 40], averaged_fields(seen, mirror)
    assert spots.nonzero().flatten().tolist() == [4, 7]  # both wrists
    assert spots[[4, 7]].tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    right_hip, left_hip = (LIMBS.index(("neck", f"{side} hip")) for side in ("right", "left"))
    torch.testing.assert_close(fields[right_hip, :, 50, 80], torch.tensor([0.4, 0.2]))
    torch.testing.assert_close(fields[left_hip, :, 50, 80], torch.tensor([-0.4, 0.2]))


def test_pictures_of_all_sizes_are_laid_into_the_largest_blue_first():
    network = Bright()
    frame = torch.zeros(3, 100, 150)
    frame[0], frame[2] = 1.0, 0.5
    CoarseMaps.of(network, frame, (0.5, 1.0))
    assert network.pixels.shape == (2, 3, 368, 552)
    small, large = network.pixels
    torch.testing.assert_close(large[:, 100, 100], torch.tensor([127.5, 0.0, 255.0]) / 256 - 0.5)
    torch.testing.assert_close(small[:, 183, 275], torch.tensor([127.5, 0.0, 255.0]) / 256 - 0.5)
    assert (small[:, :184, 276:280] == -0.5).all()  # black up to whole cells of eight
    assert not small[:, 184:].any()
    assert not small[:, :, 280:].any()


def test_maps_are_brought_to_the_frame_as_opencv_does_it():
    frame = torch.rand(3, 100, 150, generator=torch.Generator().manual_seed(2))
    network = Bright()
    seen = CoarseMaps.of(network, frame, (0.5,))
    coarse = F.avg_pool2d(network.pixels + 0.5, 8).mean(dim=1)[0].numpy()
    fine = cv2.resize(coarse, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)[:184, :276]
    wanted = cv2.resize(fine, (150, 100), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(seen.enlarged(seen.heatmaps)[0].numpy(), wanted, atol=1e-3)


class Scene(nn.Module):
    """A network that says what it was given, in the picture and turned round in the mirror."""

    def __init__(self, fields: Tensor, heatmaps: Tensor) -> None:
        super().__init__()
        self.calls = 0
        self.maps = (fields, heatmaps)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        fields, heatmaps = self.maps
        self.calls += 1
        if self.calls % 2 == 0:
            fields = fields.unflatten(1, (19, 2)).flip(-1)[:, list(MIRRORED_LIMBS)]
            fields = (fields * torch.tensor([-1.0, 1.0])[:, None, None]).flatten(1, 2)
            heatmaps = heatmaps.flip(-1)[:, [*MIRRORED_JOINTS, 18]]
        return fields, heatmaps


def test_the_best_person_may_be_asked_for_instead_of_everyone():
    second = {joint: (x + 34, y + 2) for joint, (x, y) in BODY.items() if joint not in ("nose", "left hip")}
    everyone = [BODY, second]
    size = {"height": 72, "width": 90}
    limbs = [[(one[a], one[b]) for one in everyone if a in one and b in one] for a, b in LIMBS]
    fields = np.concatenate([field(*of_one_kind, **size) for of_one_kind in limbs])
    heatmaps = np.stack([heatmap(*(one[joint] for one in everyone if joint in one), **size) for joint in (*JOINTS, "")])
    network = Scene(torch.from_numpy(fields)[None].float(), torch.from_numpy(heatmaps)[None].float())
    # Twice the frame's size has as many cells of eight pixels as the scene: each is four pixels of the frame.
    frame, scales = torch.zeros(1, 3, 288, 360), (576 / 368,)
    anyone, best = (
        PartAffinityDetector(network=network, tool=TOOL, device=CPU, scales=scales, joints_of=whose)(frame)[0]
        for whose in ("anyone", "best-person")
    )
    for number, joint in enumerate(JOINTS):
        if joint in BODY:
            last = max((one[joint] for one in everyone if joint in one), key=lambda place: place[1])
            assert (best[number] - (4 * torch.tensor(BODY[joint]) + 1.5)).abs().max() <= 1
            assert (anyone[number] - (4 * torch.tensor(last) + 1.5)).abs().max() <= 1
        else:
            assert best[number].isnan().all()
            assert anyone[number].isnan().all()


# Loading


def test_loads_the_weights_of_the_evaluation_code_and_names_itself(file: Path, network: PartAffinityNetwork):
    loaded = PartAffinityDetector.load((file,), CPU, scales=(0.1,))
    assert isinstance(loaded, KeypointDetector)
    assert (loaded.tool.name, loaded.tool.version) == ("part-affinity", f"{weights_version([file])} at scales (0.1,)")
    assert "non-commercial" in loaded.tool.note
    found, saved = loaded.network.state_dict(), network.state_dict()
    assert all(torch.equal(found[name], saved[name]) for name in saved)
    assert loaded(torch.rand(2, 3, 40, 50)).shape == (2, 18, 2)


def test_a_missing_file_says_who_publishes_it_and_how_to_name_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"no such file; .*--keypoints part-affinity=FILE$") as refusal:
        PartAffinityDetector.load((tmp_path / "pose_model.pth",), CPU)
    assert "\n" not in str(refusal.value)


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path):
    torch.save({"model0.0.weight": torch.zeros(64, 3, 3, 3), "model7_1.0.weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"183 missing .*; 1 unexpected \(model7_1.0.weight\)") as refusal:
        PartAffinityDetector.load((tmp_path / "x.pth",), CPU)
    assert "\n" not in str(refusal.value)


def test_takes_one_file():
    with pytest.raises(UserError, match=r"needs one weights file, got 0; .*part-affinity=FILE$"):
        PartAffinityDetector.load((), CPU)
