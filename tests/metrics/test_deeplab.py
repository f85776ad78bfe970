"""DeepLabV3+ as the first step of salient masks: its layout, its holes, and a network wired by hand to see red."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from resnet_by_hand import State, drawn_state, resnet_by_hand, trained_statistics

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import Segmenter
from prioritycut.metrics.detectors.deeplab import DeepLabSegmenter, DeepLabV3Plus, PyramidPooling
from prioritycut.metrics.detectors.resnet import ResNet

PERSON, CAR = 15, 7


@pytest.fixture(scope="module")
def layout() -> State:
    """Names and shapes, one zero everywhere, so that files are small; batch norm that changes nothing."""
    return {
        name: torch.tensor(float(name.endswith(("weight", "running_var")) and value.ndim == 1)).expand(value.shape)
        for name, value in DeepLabV3Plus().state_dict().items()
    }


@pytest.fixture(scope="module")
def sees_red(layout: State) -> State:
    """Wired by hand: red beyond the mean goes straight through the shallow path; a person is what has much of it."""
    state = {name: value.clone() for name, value in layout.items() if name in _wires(layout)}
    state["backbone.conv1.weight"][0, 0, 3, 3] = 1.0  # the middle of 7x7, the red channel
    state["backbone.layer1.0.downsample.0.weight"][0, 0] = 1.0
    state["classifier.project.0.weight"][0, 0] = 1.0
    state["classifier.classifier.0.weight"][0, 0, 1, 1] = 1.0  # shallow channels stand before deep ones
    state["classifier.classifier.3.weight"][PERSON, 0] = 1.0
    state["classifier.classifier.3.bias"][CAR] = 1.0
    return layout | state


def _wires(layout: State) -> set[str]:
    wired = ("backbone.conv1", "backbone.layer1.0.downsample.0", "classifier.project.0", "classifier.classifier.")
    return {name for name in layout if name.startswith(wired)}


def saved(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def segmenter(sees_red: State, tmp_path_factory: pytest.TempPathFactory) -> DeepLabSegmenter:
    """From a file as the public training saves it: optimizer, and a score that is a number of numpy's."""
    path = tmp_path_factory.mktemp("deeplab") / "best_deeplabv3plus_resnet101_voc_os16.pth"
    checkpoint = {
        "cur_itrs": 30000,
        "model_state": OrderedDict(sees_red),
        "optimizer_state": {"param_groups": [{"lr": 0.01}]},
        "scheduler_state": {"power": 0.9, "base_lrs": [0.001, 0.01]},
        "best_score": np.float64(0.783),
    }
    return DeepLabSegmenter.load((saved(checkpoint, path),), "cpu")


def test_has_the_published_number_of_weights_under_the_published_names():
    assert sum(weight.numel() for weight in ResNet(101).parameters()) == 44_549_160 - 2_049_000  # less the classifier
    network = DeepLabV3Plus()
    weights = {
        "backbone": 42_500_160,
        "project": 256 * 48 + 2 * 48,
        "pyramid": (2 * 2048 + 3 * 9 * 2048 + 5 * 256) * 256 + 6 * 2 * 256,
        "classifier": 304 * 9 * 256 + 2 * 256 + 256 * 21 + 21,
    }
    assert sum(weight.numel() for weight in network.parameters()) == sum(weights.values()) == 58_753_973
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert not any("fc" in name for name in shapes)
    expected = {
        "backbone.layer3.22.conv3.weight": (1024, 256, 1, 1),
        "classifier.project.0.weight": (48, 256, 1, 1),
        "classifier.project.1.running_mean": (48,),
        "classifier.aspp.convs.0.0.weight": (256, 2048, 1, 1),
        "classifier.aspp.convs.1.0.weight": (256, 2048, 3, 3),
        "classifier.aspp.convs.3.1.bias": (256,),
        "classifier.aspp.convs.4.1.weight": (256, 2048, 1, 1),
        "classifier.aspp.convs.4.2.weight": (256,),
        "classifier.aspp.project.0.weight": (256, 1280, 1, 1),
        "classifier.classifier.0.weight": (256, 304, 3, 3),
        "classifier.classifier.1.num_batches_tracked": (),
        "classifier.classifier.3.weight": (21, 256, 1, 1),
        "classifier.classifier.3.bias": (21,),
    }
    assert {name: shapes.get(name) for name in expected} == expected


@pytest.mark.parametrize("dilated", [(False, False, True), (False, True, True)])
def test_holes_see_between_the_strides_what_strides_see(dilated):
    # What dilation is for (Chen et al.): the same weights give the same values, and more of them in between.
    strided, holed = ResNet(50), ResNet(50, dilated=dilated)
    state = drawn_state(strided, seed=4)
    for network in (strided, holed):
        network.load_state_dict(state)
        network.eval()
    frames = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        coarse, fine = strided(frames), holed(frames)
    assert [features.shape[1] for features in fine] == [64, 256, 512, 1024, 2048]
    step = 1
    for stage, holes in enumerate((False, False, *dilated)):
        step *= 2 if holes else 1
        torch.testing.assert_close(fine[stage][..., ::step, ::step], coarse[stage], rtol=1e-3, atol=1e-4)
        assert fine[stage].shape[2] == step * coarse[stage].shape[2]


def test_the_backbone_is_the_resnet_written_a_second_time():
    network = ResNet(101, dilated=(False, False, True)).eval()
    state = drawn_state(network, seed=6)
    network.load_state_dict(state)
    frames = torch.rand(1, 3, 37, 53, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        features = network(frames)
    by_hand = resnet_by_hand(state, "", (3, 4, 23, 3), (1, 1, 1, 2), trained_statistics, frames)
    for ours, expected in zip(features, by_hand, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_pyramid_pooling_looks_6_12_and_18_steps_away_and_at_the_whole_frame():
    pooling = PyramidPooling(1, 1).eval()
    with torch.no_grad():
        for name, weight in pooling.named_parameters():
            if weight.ndim > 1:
                weight.fill_(1.0)
            elif "bias" in name:
                weight.zero_()
    spot = torch.zeros(1, 1, 41, 41)
    spot[0, 0, 20, 20] = 1.0
    with torch.no_grad():
        looks = [look(spot)[0, 0] for look in pooling.convs]
        joined = pooling(spot)[0, 0]
    seen = [{(y - 20, x - 20) for y, x in look.nonzero().tolist()} for look in looks[:4]]
    assert seen == [{(y, x) for y in (-r, 0, r) for x in (-r, 0, r)} for r in (0, 6, 12, 18)]
    assert looks[4].shape == (1, 1)
    assert looks[4].item() == pytest.approx(1 / 41**2, rel=1e-4)
    assert joined[20, 20].item() == pytest.approx(4 + 1 / 41**2, rel=1e-3)  # all five, the last one everywhere
    assert joined[0, 0].item() == pytest.approx(1 / 41**2, rel=1e-3)


def test_a_network_wired_to_see_red_marks_the_red_part_of_a_frame_where_it_is(segmenter):
    frames = torch.zeros(2, 3, 70, 101)
    frames[:, 2] = 1.0  # blue counts for nothing
    frames[0, 0, :, 61:] = 1.0
    frames[1, 0, 41:] = 1.0
    mask = segmenter(frames)
    assert mask.shape == (2, 1, 70, 101)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    # Right but for a band around the border: features are a quarter of the frame, and pooled.
    band = 8
    assert mask[0, 0, :, : 61 - band].max() == 0
    assert mask[0, 0, :, 61 + band :].min() == 1
    assert mask[1, 0, : 41 - band].max() == 0
    assert mask[1, 0, 41 + band :].min() == 1


def test_red_must_outdo_the_other_class_by_the_mean_and_deviation_of_imagenet(segmenter):
    # Score of a person: (red - 0.485) / 0.229; of a car: 1. They are equal at 0.714.
    frames = torch.stack([torch.full((3, 32, 32), value) for value in (0.70, 0.73)])
    assert segmenter(frames).flatten(1).mean(1).tolist() == [0.0, 1.0]


def test_a_person_is_the_likeliest_class_however_unlikely(layout, tmp_path):
    unsure = {"classifier.classifier.3.bias": torch.zeros(21).index_fill(0, torch.tensor(PERSON), 0.1)}
    path = saved({f"module.{name}": value for name, value in (layout | unsure).items()}, tmp_path / "unsure.pth")
    mask = DeepLabSegmenter.load((path,), "cpu")(torch.rand(1, 3, 20, 30))
    assert mask.min() == 1  # though its probability is exp(0.1) / (20 + exp(0.1)) = 5.2%
    tied = DeepLabSegmenter.load((saved(dict(layout), tmp_path / "tied.pth"),), "cpu")(torch.rand(1, 3, 20, 30))
    assert tied.max() == 0  # nothing speaks for a person


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 300), (33, 47)])
def test_frames_of_any_size_get_masks_of_their_size(segmenter, height, width):
    assert segmenter(torch.ones(1, 3, height, width)).tolist() == torch.ones(1, 1, height, width).tolist()


def test_says_which_tool_it_is(segmenter):
    assert isinstance(segmenter, Segmenter)
    assert (segmenter.tool.role, segmenter.tool.name, len(segmenter.tool.version)) == ("salient", "deeplabv3plus", 12)


def test_the_weights_of_another_network_are_refused_in_one_line(layout, tmp_path):
    backbone_alone = {name.removeprefix("backbone."): value for name, value in layout.items() if "backbone" in name}
    with pytest.raises(UserError, match=r"the weights do not fit the model: .* missing .* unexpected") as caught:
        DeepLabSegmenter.load((saved(backbone_alone, tmp_path / "resnet101.pth"),), "cpu")
    assert "\n" not in str(caught.value)
    cityscapes = layout | {"classifier.classifier.3.weight": torch.zeros(19, 256, 1, 1)}
    with pytest.raises(UserError, match=r"\(19, 256, 1, 1\) instead of \(21, 256, 1, 1\)"):
        DeepLabSegmenter.load((saved(cityscapes, tmp_path / "cityscapes.pth"),), "cpu")


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must not run",)


def test_a_number_of_numpys_is_let_in_but_no_code(layout, tmp_path, capsys):
    path = saved({"model_state": dict(layout), "best_score": _Code()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="holds code besides tensors"):
        DeepLabSegmenter.load((path,), "cpu")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("files", [(), (Path("absent.pth"),), (Path("a.pth"), Path("b.pth"))])
def test_who_names_no_weights_is_told_what_they_are_and_how_to_name_them(files):
    with pytest.raises(UserError, match="trained on Pascal VOC") as caught:
        DeepLabSegmenter.load(files, "cpu")
    message = str(caught.value)
    assert "--salient deeplabv3plus=FILE" in message
    assert "VainF/DeepLabV3Plus-Pytorch" in message
    assert ("absent.pth" if len(files) == 1 else f"got {len(files)}") in message
    assert "\n" not in message
