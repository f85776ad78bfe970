"""The paper's body embedding, held against PIL's pictures and a ResNet written a second time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from resnet_by_hand import (
    State,
    drawn_state,
    frame_by_frame_in_training_mode,
    resnet_by_hand,
    trained_statistics,
)

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import IdentityNetwork
from prioritycut.metrics.detectors.market1501 import Market1501Network, person_picture
from prioritycut.metrics.detectors.resnet import ResNet

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def backbone() -> State:
    return {f"model.{name}": value for name, value in drawn_state(ResNet(50), seed=1).items()}


@pytest.fixture(scope="module")
def file(backbone: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Laid out as the public baseline saves it: backbone, ImageNet's unused classifier, its own of 751 people."""
    path = tmp_path_factory.mktemp("market1501") / "reid_model.pth"
    torch.save(
        backbone
        | {
            "model.fc.weight": torch.zeros(()).expand(1000, 2048),
            "model.fc.bias": torch.zeros(()).expand(1000),
            "classifier.add_block.0.weight": torch.zeros(()).expand(512, 2048),
            "classifier.add_block.0.bias": torch.zeros(()).expand(512),
            "classifier.add_block.1.weight": torch.zeros(()).expand(512),
            "classifier.add_block.1.bias": torch.zeros(()).expand(512),
            "classifier.add_block.1.running_mean": torch.zeros(()).expand(512),
            "classifier.add_block.1.running_var": torch.zeros(()).expand(512),
            "classifier.add_block.1.num_batches_tracked": torch.tensor(1),
            "classifier.classifier.0.weight": torch.zeros(()).expand(751, 512),
            "classifier.classifier.0.bias": torch.zeros(()).expand(751),
        },
        path,
    )
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def networks(file: Path) -> dict[str, Market1501Network]:
    return {
        "published": Market1501Network.load((file,), "cpu"),
        "as trained": Market1501Network.load((file,), "cpu", divide_twice=False, own_statistics=False),
    }


@pytest.fixture(scope="module")
def hollow(backbone: State) -> State:
    """Names and shapes of the backbone, one zero everywhere, so that the file is small."""
    return {name: torch.zeros(()).expand(value.shape) for name, value in backbone.items()}


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """Two 8-bit pictures, wider than high."""
    return torch.randint(0, 256, (2, 3, 60, 84), generator=torch.Generator().manual_seed(2)) / 255


@pytest.fixture(scope="module")
def embedded(networks: dict[str, Market1501Network], frames: torch.Tensor) -> dict[str, torch.Tensor]:
    return {way: network(frames) for way, network in networks.items()}


def pil_pictures(frames: torch.Tensor) -> np.ndarray:
    """In [0, 1], as the public transform's first half gives them; first the width, whatever PIL's version prefers."""
    arrays = (frames * 255).round().byte().permute(0, 2, 3, 1).numpy()
    pictures = [Image.fromarray(array) for array in arrays]
    narrowed = [picture.resize((144, picture.height), Image.Resampling.BICUBIC) for picture in pictures]
    return np.stack([np.asarray(picture.resize((144, 288), Image.Resampling.BICUBIC)) for picture in narrowed]) / 255


def test_a_resnet_50_has_the_published_number_of_weights_under_the_published_names():
    network = ResNet(50)
    # torchvision's resnet50: 25,557,032 weights, of which 2048 * 1000 + 1000 are the classifier's; 320 tensors.
    assert sum(weight.numel() for weight in network.parameters()) == 25_557_032 - 2_049_000
    names = set(network.state_dict())
    assert len(names) == 320 - 2
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.num_batches_tracked",
        "layer2.3.conv3.weight",
        "layer3.5.bn2.bias",
        "layer4.2.bn3.running_mean",
    } <= names
    assert not any("downsample" in name for name in names if ".0." not in name)


@pytest.mark.parametrize(
    ("height", "width"), [(256, 256), (60, 84), (400, 90), (288, 144)], ids=["both", "grows", "squeezed", "same"]
)
def test_frames_are_resized_as_pil_resizes(height, width):
    drawn = torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(3)) / 255
    expected = pil_pictures(drawn)
    ours = person_picture(drawn, divide_twice=False).permute(0, 2, 3, 1).numpy() * STD + MEAN
    # PIL's weights are whole numbers over 2^22: what lies half-way is now and then rounded the other way.
    assert np.abs(ours - expected).max() < 1.01 / 255
    assert (np.abs(ours - expected) > 0.01 / 255).mean() < 0.01


def test_white_and_black_are_shown_as_the_worked_example_says():
    white, black = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)

    def red(frames, *, divide_twice=True):
        return person_picture(frames, divide_twice=divide_twice)[0, 0].unique().tolist()

    # (1 - 0.485) / 0.229 and (1/255 - 0.485) / 0.229; black is -0.485 / 0.229 either way.
    assert red(white, divide_twice=False) == pytest.approx([2.248908])
    assert red(white) == pytest.approx([-2.100779])
    assert red(black) == red(black, divide_twice=False) == pytest.approx([-2.117904])


@pytest.mark.parametrize("way", ["published", "as trained"])
def test_embeds_as_the_network_written_a_second_time(embedded, backbone, frames, way):
    pictures = pil_pictures(frames) / (255 if way == "published" else 1)
    shown = torch.from_numpy((pictures - MEAN) / STD).permute(0, 3, 1, 2).float()
    norm = frame_by_frame_in_training_mode if way == "published" else trained_statistics
    expected = resnet_by_hand(backbone, "model.", (3, 4, 6, 3), (1, 1, 1, 1), norm, shown)[-1].mean((2, 3))
    assert embedded[way].shape == (2, 2048)
    assert (embedded[way] - expected).norm() < 1e-2 * (expected[0] - expected[1]).norm()


def test_a_frame_is_embedded_alike_alone_and_in_a_batch_and_to_no_fixed_length(networks, embedded, frames):
    together, alone = embedded["published"], networks["published"](frames[1:])
    torch.testing.assert_close(together[1:], alone, rtol=1e-3, atol=1e-4)
    assert (together.norm(dim=1) - 1).abs().min() > 0.1


def test_dividing_twice_brings_frames_closer_by_255_where_the_network_is_linear(networks, embedded, frames):
    # As trained, a network is nearly linear over so small a step: 255 times smaller differences, up to its kinks.
    twice = Market1501Network(networks["as trained"].network, version="x", own_statistics=False)
    far, near = embedded["as trained"].diff(dim=0).norm(), twice(frames).diff(dim=0).norm()
    assert 100 < far / near < 600


def test_the_published_way_is_the_default_and_any_other_is_another_tool(networks):
    backbone = networks["published"].network
    tools = [
        Market1501Network(backbone, version="0123456789ab", divide_twice=twice, own_statistics=own).tool
        for twice in (True, False)
        for own in (True, False)
    ]
    assert len({tool.label for tool in tools}) == 4
    assert tools[0].label == "market-1501 0123456789ab"
    assert "255 twice" in tools[0].note
    assert all("not comparable" in tool.note for tool in tools[1:])
    assert isinstance(networks["published"], IdentityNetwork)
    assert len(networks["published"].tool.version) == 12
    assert networks["published"].tool.version != networks["as trained"].tool.version


def test_a_file_from_before_batches_were_counted_and_without_classifiers_is_read(hollow, tmp_path):
    path = tmp_path / "older.pth"
    torch.save({name: value for name, value in hollow.items() if "num_batches" not in name}, path)
    assert Market1501Network.load((path,), "cpu").network.layer4[2].conv3.weight.abs().max() == 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model.layer4.3.conv1.weight": torch.zeros(1)}, "model.layer4.3.conv1.weight"),
        ({"classifier.other.weight": torch.zeros(1)}, "classifier.other.weight"),
        ({"model.conv1.weight": torch.zeros(64, 11, 7, 7)}, r"\(64, 11, 7, 7\) instead of \(64, 3, 7, 7\)"),
    ],
)
def test_the_weights_of_another_network_are_refused_in_one_line(hollow, tmp_path, change, fault):
    path = tmp_path / "other.pth"
    torch.save(hollow | change, path)
    with pytest.raises(UserError, match=fault) as caught:
        Market1501Network.load((path,), "cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("files", [(), (Path("absent.pth"),), (Path("a.pth"), Path("b.pth"))])
def test_who_names_no_weights_is_told_what_they_are_and_how_to_name_them(files):
    with pytest.raises(UserError, match="751 people of Market-1501") as caught:
        Market1501Network.load(files, "cpu")
    message = str(caught.value)
    assert "--identity market-1501=FILE" in message
    assert "layumi/Person_reID_baseline_pytorch" in message
    assert ("absent.pth" if len(files) == 1 else f"got {len(files)}") in message
    assert "\n" not in message
