"""mediapipe's mesh, joints and masks, judged by dlib, by known motion, by a green screen and by a portrait."""

from __future__ import annotations

import gc
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from portraits import REAL, astronaut, grey, real_frames, stranger
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import KeypointDetector, Segmenter
from prioritycut.metrics.detectors.pixels import points_by_frame

pytest.importorskip("mediapipe", reason="the eval extra is not installed")

from prioritycut.metrics.detectors.mediapipe import MediapipeFace, MediapipePose, MediapipeSelfie

NOSE_TIP, MESH_NOSE_TIP, DLIB_NOSE_TIP = 0, 1, 30
SHOULDERS, LEGS = [11, 12], list(range(25, 33))


@pytest.fixture(scope="module")
def face() -> MediapipeFace:
    return MediapipeFace()


@pytest.fixture(scope="module")
def pose() -> MediapipePose:
    return MediapipePose()


@pytest.fixture(scope="module")
def selfie() -> MediapipeSelfie:
    return MediapipeSelfie()


def shrunk(frames: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(frames, size=(height, width), mode="bilinear", antialias=True)


def distances(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).norm(dim=-1)


def test_they_start_and_look_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    # The first of this file, for native code says some things only once.
    for detector in (MediapipeFace(), MediapipePose(), MediapipeSelfie()):
        detector(torch.zeros(2, 3, 64, 64))
    assert capfd.readouterr() == ("", "")


def test_the_adapters_speak_the_protocols(face: MediapipeFace, pose: MediapipePose, selfie: MediapipeSelfie) -> None:
    assert isinstance(face, KeypointDetector)
    assert isinstance(pose, KeypointDetector)
    assert isinstance(selfie, Segmenter)
    assert [each.tool.label for each in (face, pose, selfie)] == [
        "mediapipe-face 0.10.14",
        "mediapipe-pose 0.10.14",
        "mediapipe-selfie 0.10.14",
    ]


def test_mesh_and_joints_find_the_nose_where_dlib_does(face: MediapipeFace, pose: MediapipePose) -> None:
    pytest.importorskip("dlib", reason="the eval extra is not installed")
    from prioritycut.metrics.detectors.dlib import DlibFace

    portrait = astronaut()
    truth = DlibFace()(portrait)[0, DLIB_NOSE_TIP]
    mesh = face(portrait)[0]
    assert mesh.shape == (468, 2)
    # Her nose is 30 pixels long, and what is its tip differs a little between the three.
    assert distances(mesh[MESH_NOSE_TIP], truth) < 6
    assert distances(pose(portrait)[0, NOSE_TIP], truth) < 10


def test_joints_that_a_portrait_does_not_show_are_not_found(pose: MediapipePose) -> None:
    joints = pose(astronaut(left=0, width=512, height=512))[0]
    assert joints[SHOULDERS].isfinite().all()
    assert joints[LEGS].isnan().all()


@pytest.mark.parametrize(("dx", "dy"), [(6, 10), (-8, 3)])
def test_points_move_with_the_picture(face: MediapipeFace, pose: MediapipePose, dx: int, dy: int) -> None:
    here, moved = astronaut(left=96, top=0), astronaut(left=96 + dx, top=dy)
    motion = torch.tensor([dx, dy], dtype=torch.float32)
    assert distances(face(here) - motion, face(moved)).mean() < 1
    # Joints are placed within a window that the detector chooses anew; mediapipe itself is no steadier than this.
    assert distances(pose(here) - motion, pose(moved)).nanmean() < 5


def test_the_mask_moves_with_the_picture(selfie: MediapipeSelfie) -> None:
    here, moved = selfie(astronaut(left=96))[..., 8:] > 0.5, selfie(astronaut(left=104))[..., :-8] > 0.5
    assert (here & moved).sum() / (here | moved).sum() > 0.98


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 64), (300, 420)])
def test_small_and_oblong_frames_give_points_in_their_own_pixels(face: MediapipeFace, height: int, width: int) -> None:
    window = astronaut(left=60, top=0, width=320, height=320 * height // width)
    truth = face(window)[0]
    found = face(shrunk(window, height, width))[0]
    scale = torch.tensor([320 / width, window.shape[2] / height])
    assert distances((found + 0.5) * scale - 0.5, truth).mean() < 4  # pixels of the large window


@pytest.mark.parametrize(("height", "width"), [(16, 24), (64, 64), (300, 260)])
def test_a_point_found_in_an_enlarged_frame_is_given_back_where_it_was(height: int, width: int) -> None:
    frames = torch.zeros(2, 3, height, width)
    frames[0, :, 5, 9] = frames[1, :, height - 3, 4] = 1.0

    def centre_of_light(pixels: object) -> object:
        light = torch.as_tensor(pixels).double().sum(-1)
        y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in light.shape), indexing="ij")
        return (torch.stack([(x * light).sum(), (y * light).sum()]) / light.sum())[None].numpy()

    found = points_by_frame(frames, 1, centre_of_light)
    torch.testing.assert_close(found[:, 0], torch.tensor([[9.0, 5.0], [4.0, height - 3.0]]), atol=0.02, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96), (256, 256)])
def test_a_mask_has_the_size_of_its_frame(selfie: MediapipeSelfie, height: int, width: int) -> None:
    window = astronaut(left=0, width=384 if width == 96 else 256)
    large = selfie(window) > 0.5
    mask = selfie(shrunk(window, height, width))
    assert mask.shape == (1, 1, height, width)
    assert 0 <= mask.min() <= mask.max() <= 1
    again = F.interpolate(mask, size=window.shape[-2:], mode="bilinear") > 0.5
    assert (large & again).sum() / (large | again).sum() > 0.9


def test_the_mask_holds_the_person_and_leaves_out_the_room(selfie: MediapipeSelfie) -> None:
    mask = selfie(astronaut(left=0, width=512, height=512))[0, 0]
    face, suit, left_wall, right_wall = mask[90:170, 190:260], mask[300:400, 150:350], mask[:200, :80], mask[:150, 350:]
    assert min(face.mean(), suit.mean()) > 0.95
    assert max(left_wall.mean(), right_wall.mean()) < 0.05


def test_nothing_is_found_in_grey(face: MediapipeFace, pose: MediapipePose, selfie: MediapipeSelfie) -> None:
    assert face(grey()).isnan().all()
    assert pose(grey()).isnan().all()
    assert selfie(grey()).max() < 0.5


def test_values_that_no_picture_has_do_no_harm(face: MediapipeFace, selfie: MediapipeSelfie) -> None:
    assert face(torch.full((1, 3, 64, 64), torch.nan)).isnan().all()
    torch.testing.assert_close(selfie(astronaut() * 2), selfie((astronaut() * 2).clamp(0, 1)))


@pytest.mark.parametrize("name", ["face", "pose", "selfie"])
def test_a_frame_gives_the_same_alone_in_company_and_again(name: str, request: pytest.FixtureRequest) -> None:
    detector = request.getfixturevalue(name)
    other = F.interpolate(stranger(), size=(256, 256), mode="bilinear")
    frames = torch.cat([astronaut(), grey(), other, astronaut(left=90)])
    together = detector(frames)
    reversed_ = detector(frames.flip(0)).flip(0)
    alone = torch.cat([type(detector)()(frame[None]) for frame in frames])
    assert torch.equal(together.nan_to_num(-1), reversed_.nan_to_num(-1))
    assert torch.equal(together.nan_to_num(-1), alone.nan_to_num(-1))


def test_no_frames_give_no_values(face: MediapipeFace, selfie: MediapipeSelfie) -> None:
    assert face(torch.empty(0, 3, 64, 64)).shape == (0, 468, 2)
    assert selfie(torch.empty(0, 3, 64, 96)).shape == (0, 1, 64, 96)


def test_a_forgotten_detector_closes_its_program() -> None:
    detector = MediapipeFace()
    program = detector._graph._solution
    assert program._graph is not None
    del detector
    gc.collect()
    assert program._graph is None


def test_an_absent_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match=r"mediapipe-pose: the package mediapipe .*pip install 'prioritycut\[eval\]'"):
        MediapipePose()


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_a_mirrored_face_has_mirrored_points(face: MediapipeFace) -> None:
    # The mesh is symmetric, so its mean shows which pixel 0 is: left and right centres add up to 255.
    frames = torch.cat([real_frames(name, 4) for name in ("d10", "d11", "d14", "d18")])
    middle = face(frames)[..., 0].mean(1) + face(frames.flip(3))[..., 0].mean(1)
    assert middle.mean() == pytest.approx(255, abs=0.4)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_the_mask_agrees_with_a_green_screen(selfie: MediapipeSelfie) -> None:
    frames = real_frames("d0", 3)[:, :, :230]  # below is a black bar
    red, green, blue = frames.unbind(1)
    keyed = ~((green > red + 0.1) & (green > blue + 0.05))
    mask = selfie(frames)[:, 0] > 0.5
    assert (mask & keyed).sum() / (mask | keyed).sum() > 0.95
