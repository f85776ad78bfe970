"""OpenFace nn4.small2: its published names and size, what it is shown, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.transform import resize
from torch import Tensor, nn

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import IdentityNetwork, Tool
from prioritycut.metrics.detectors.openface import Nn4Small2, OpenFaceNetwork
from prioritycut.metrics.detectors.weights import weights_version

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> Nn4Small2:
    """Random weights, and batch norm that knows what such weights give, so that no layer is dead."""
    torch.manual_seed(0)
    network = Nn4Small2()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.rand(4, 3, 96, 96))
    return network.eval()


@pytest.fixture(scope="module")
def file(network: Nn4Small2, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("openface") / "openface.pth"
    torch.save(network.state_dict(), path)
    return path


class Seen(nn.Module):
    """Keeps what it is shown."""

    def forward(self, pixels: Tensor) -> Tensor:
        self.pixels = pixels
        return torch.zeros(len(pixels), 128)


def test_has_as_many_parameters_as_openface_documents(network: Nn4Small2):
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_733_968


def test_bears_the_names_and_shapes_of_the_published_port(network: Nn4Small2):
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    published = {
        "layer1.weight": (64, 3, 7, 7),
        "layer2.running_var": (64,),
        "layer9.weight": (192, 64, 3, 3),
        "layer14.seq_list.0.1_conv.weight": (96, 192, 1, 1),
        "layer14.seq_list.1.4_conv.weight": (32, 16, 5, 5),
        "layer14.seq_list.2.2_conv.weight": (32, 192, 1, 1),
        "layer14.seq_list.3.2_bn.weight": (64,),
        "layer16.seq_list.1.5_bn.bias": (64,),
        "layer17.seq_list.2.3_bn.weight": (128,),
        "layer18.seq_list.0.4_conv.weight": (256, 160, 3, 3),
        "layer19.seq_list.1.2_conv.weight": (96, 1024, 1, 1),
        "layer21.seq_list.2.1_conv.weight": (256, 736, 1, 1),
        "layer25.weight": (128, 736),
    }
    assert published.items() <= shapes.items()
    assert {name.split(".")[0] for name in shapes} == {
        f"layer{number}" for number in (1, 2, 6, 7, 9, 10, 14, 15, 16, 17, 18, 19, 21, 25)
    }
    assert not any(name.startswith("layer16.seq_list.2") for name in shapes)  # its pooling branch has no weights


def second_derivation(weights: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """The network once more, from the published layer list, in plain functions."""

    def convolve(x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        kernel = weights[f"{conv}.weight"]
        x = F.conv2d(x, kernel, weights[f"{conv}.bias"], stride=stride, padding=kernel.shape[-1] // 2)
        statistics = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *statistics))

    def contrast(x: Tensor) -> Tensor:
        squares = x.square()
        sums = torch.empty_like(x)
        for channel in range(x.shape[1]):
            sums[:, channel] = squares[:, max(0, channel - 2) : channel + 3].sum(dim=1)
            if channel > 2:
                sums[:, channel] += squares[:, 0]  # the port's running sum does not drop it
        return x / (1 + 1e-4 / 5 * sums) ** 0.75

    def maxima(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2)

    def powers(x: Tensor) -> Tensor:
        return (9 * F.avg_pool2d(x.square(), 3, 3)).sqrt()

    def inception(x: Tensor, layer: str, pool: Callable[[Tensor], Tensor], stride: int = 1) -> Tensor:
        maps: list[Tensor] = []
        for branch in range(4):
            at = f"{layer}.seq_list.{branch}"
            if f"{at}.4_conv.weight" in weights:
                reduced = convolve(x, f"{at}.1_conv", f"{at}.2_bn")
                maps.append(convolve(reduced, f"{at}.4_conv", f"{at}.5_bn", stride))
            elif f"{at}.1_conv.weight" in weights:
                maps.append(convolve(x, f"{at}.1_conv", f"{at}.2_bn"))
            elif f"{at}.2_conv.weight" in weights:
                maps.append(convolve(pool(x), f"{at}.2_conv", f"{at}.3_bn"))
            elif branch == 2 and stride == 2:
                maps.append(pool(x))
        side = max(one.shape[-1] for one in maps)
        padded: list[Tensor] = []
        for one in maps:
            canvas = one.new_zeros(*one.shape[:2], side, side)
            start = (side - one.shape[-1]) // 2
            canvas[:, :, start : start + one.shape[-1], start : start + one.shape[-1]] = one
            padded.append(canvas)
        return torch.cat(padded, dim=1)

    x = F.max_pool2d(convolve(pixels, "layer1", "layer2", 2), 3, 2, 1)
    x = F.max_pool2d(contrast(convolve(convolve(contrast(x), "layer6", "layer7"), "layer9", "layer10")), 3, 2, 1)
    x = inception(x, "layer14", maxima)
    x = inception(x, "layer15", powers)
    x = inception(x, "layer16", maxima, 2)
    x = inception(x, "layer17", powers)
    x = inception(x, "layer18", maxima, 2)
    x = inception(x, "layer19", powers)
    x = inception(x, "layer21", maxima)
    x = x.mean(dim=(2, 3)) @ weights["layer25.weight"].T + weights["layer25.bias"]
    return x / x.norm(dim=1, keepdim=True)


def test_agrees_with_a_second_derivation_from_the_layer_list(network: Nn4Small2):
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(
            network(pixels), second_derivation(network.state_dict(), pixels), atol=1e-5, rtol=1e-4
        )


def test_sees_the_whole_frame_as_scikit_image_shrinks_it_blue_first():
    frames = torch.rand(2, 3, 128, 160, generator=torch.Generator().manual_seed(2))
    seen = Seen()
    OpenFaceNetwork(network=seen, tool=Tool(role="identity", name="openface", version="0"), device=CPU)(frames)
    for frame, pixels in zip(frames, seen.pixels, strict=True):
        bgr = frame.permute(1, 2, 0).numpy()[:, :, ::-1]
        wanted = resize(bgr, (96, 96), order=1, mode="edge", anti_aliasing=False)
        np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy(), wanted, atol=1e-4)


def test_loads_weights_and_gives_vectors_of_length_one_that_tell_frames_apart(file: Path, network: Nn4Small2):
    loaded = OpenFaceNetwork.load((file,), CPU)
    frames = torch.rand(3, 3, 64, 80, generator=torch.Generator().manual_seed(3))
    frames[2] = frames[0]
    vectors = loaded(frames)
    assert isinstance(loaded, IdentityNetwork)
    assert loaded.tool == Tool(role="identity", name="openface", version=weights_version([file]))
    assert vectors.shape == (3, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors[2], vectors[0])
    assert (vectors[1] - vectors[0]).abs().max() > 1e-4


def test_a_missing_file_says_who_publishes_it_and_how_to_name_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"no such file; .*OpenFacePytorch.*--identity openface=FILE$") as refusal:
        OpenFaceNetwork.load((tmp_path / "openface.pth",), CPU)
    assert "\n" not in str(refusal.value)


def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path, network: Nn4Small2):
    wrong = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("layer25")}
    torch.save({**wrong, "layer26.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"2 missing \(layer25.bias, layer25.weight\); 1 unexpected") as refusal:
        OpenFaceNetwork.load((tmp_path / "other.pth",), CPU)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("count", [0, 2])
def test_takes_one_file_and_says_where_to_get_it(file: Path, count: int):
    with pytest.raises(UserError, match=rf"needs one weights file, got {count}; .*--identity openface=FILE$"):
        OpenFaceNetwork.load((file,) * count, CPU)
