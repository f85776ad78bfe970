"""dlib's landmarks and identities, judged by another detector's box, by known motion and by who is who."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch
import torch.nn.functional as F

from portraits import REAL, astronaut, grey, real_frames, stranger
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import IdentityNetwork, KeypointDetector

pytest.importorskip("dlib", reason="the eval extra is not installed")

from prioritycut.metrics.detectors.dlib import DlibFace, DlibIdentity

SAME_PERSON = 0.6  # dlib's own threshold


@pytest.fixture(scope="module")
def landmarks() -> DlibFace:
    return DlibFace()


@pytest.fixture(scope="module")
def identity() -> DlibIdentity:
    return DlibIdentity()


def test_the_adapters_speak_the_protocols_and_tell_the_licence(landmarks: DlibFace, identity: DlibIdentity) -> None:
    assert isinstance(landmarks, KeypointDetector)
    assert isinstance(identity, IdentityNetwork)
    assert (landmarks.tool.name, identity.tool.name) == ("dlib-68", "dlib-identity")
    assert landmarks.tool.version == identity.tool.version == "20.0.1 models 0.3.0"
    assert "commercial" in landmarks.tool.note
    assert "commercial" in identity.tool.note


def test_the_landmarks_lie_where_another_detector_sees_the_face(landmarks: DlibFace) -> None:
    from skimage import data
    from skimage.feature import Cascade

    cascade = Cascade(data.lbp_frontal_face_cascade_filename())
    (box,) = cascade.detect_multi_scale(
        img=data.astronaut(), scale_factor=1.2, step_ratio=1, min_size=(60, 60), max_size=(123, 123)
    )
    points = landmarks(astronaut(left=0, width=512, height=512))[0]
    assert points.shape == (68, 2)
    middle = torch.tensor([box["c"] + box["width"] / 2, box["r"] + box["height"] / 2])
    assert (points.mean(0) - middle).norm() < box["width"] / 4
    # The order is the usual one: jaw from left to right, chin below the nose, eyes above it, mouth between.
    jaw_left, chin, jaw_right, nose, left_eye, right_eye, mouth = points[[0, 8, 16, 30, 36, 45, 62]]
    assert jaw_left[0] < left_eye[0] < nose[0] < right_eye[0] < jaw_right[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < mouth[1] < chin[1]


@pytest.mark.parametrize(("dx", "dy"), [(6, 10), (-8, 3)])
def test_landmarks_move_with_the_picture(landmarks: DlibFace, dx: int, dy: int) -> None:
    here, moved = landmarks(astronaut(left=96, top=0)), landmarks(astronaut(left=96 + dx, top=dy))
    assert (here - torch.tensor([dx, dy]) - moved).norm(dim=-1).mean() < 1


def test_small_frames_give_landmarks_in_their_own_pixels(landmarks: DlibFace) -> None:
    small = F.interpolate(astronaut(), size=(64, 64), mode="bilinear", antialias=True)
    error = (landmarks(small) + 0.5) * 4 - 0.5 - landmarks(astronaut())
    assert error.norm(dim=-1).mean() < 2


def test_a_face_too_small_for_the_first_look_is_found_at_twice_the_size(landmarks: DlibFace) -> None:
    assert landmarks(F.interpolate(astronaut(left=0, width=512, height=512), 280, mode="area")).isfinite().all()


def test_of_two_faces_the_larger_is_taken(landmarks: DlibFace) -> None:
    large = astronaut(left=130, top=20, width=200, height=200)
    small = F.interpolate(large, size=(140, 140), mode="bilinear", antialias=True)
    beside = F.pad(small, (0, 0, 30, 30), mode="replicate")
    left, right = torch.cat([large, beside], dim=3), torch.cat([beside, large], dim=3)
    assert landmarks(beside).isfinite().all()  # it would be found
    assert (landmarks(left) - landmarks(large)).norm(dim=-1).mean() < 2
    assert (landmarks(right) - torch.tensor([140, 0]) - landmarks(large)).norm(dim=-1).mean() < 2


def test_the_same_face_is_nearer_than_another(identity: DlibIdentity) -> None:
    here, moved, small, other = (
        identity(frames)
        for frames in (
            astronaut(left=96),
            astronaut(left=86, top=7),
            F.interpolate(astronaut(), size=(64, 64), mode="bilinear", antialias=True),
            stranger(),
        )
    )
    assert (here - moved).norm() < (here - small).norm() < SAME_PERSON < (here - other).norm()


def test_nothing_is_found_in_grey(landmarks: DlibFace, identity: DlibIdentity) -> None:
    assert landmarks(grey()).isnan().all()
    embedding = identity(grey())
    assert embedding.shape == (1, 128)
    assert embedding.isnan().all()


def test_a_frame_gives_the_same_alone_in_company_and_again(landmarks: DlibFace, identity: DlibIdentity) -> None:
    frames = torch.cat([astronaut(), grey(), astronaut(left=90)])
    for detector in (landmarks, identity):
        together = detector(frames)
        alone = torch.cat([detector(frame[None]) for frame in frames.flip(0)]).flip(0)
        assert torch.equal(together.nan_to_num(-1), alone.nan_to_num(-1))


def test_absent_packages_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "prioritycut.metrics.detectors.dlib.find_spec",
        lambda name: None if name == "face_recognition_models" else find_spec(name),
    )
    with pytest.raises(UserError, match=r"dlib-identity: .*face_recognition_models.*pip install 'prioritycut\[eval\]'"):
        DlibIdentity()
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(UserError, match=r"dlib-68: the package dlib .*pip install 'prioritycut\[eval\]'"):
        DlibFace()


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_real_people_are_nearer_to_themselves_than_to_each_other(identity: DlibIdentity) -> None:
    people = ("d10", "d11", "d18")
    embeddings = torch.stack([identity(real_frames(name, 2)) for name in people])
    own = (embeddings[:, 0] - embeddings[:, 1]).norm(dim=1)
    others = torch.cdist(embeddings[:, 0], embeddings[:, 1])[~torch.eye(3, dtype=torch.bool)]
    assert own.max() < others.min()
