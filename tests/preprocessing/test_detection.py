"""mediapipe's boxes, judged by dlib's landmarks, by pictures pasted at known places and by a real dancer."""

from __future__ import annotations

import sys
from itertools import islice

import numpy as np
import pytest
import torch
from skimage import data

from portraits import REAL
from prioritycut.data.media import Pixels
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.looking import SmallFrames
from prioritycut.preprocessing.tracking import is_whole

pytest.importorskip("mediapipe", reason="the eval extra is not installed")

from prioritycut.preprocessing.detection import FaceFinder, PersonFinder


def astronaut() -> Pixels:
    """NASA's portrait of Eileen Collins, 512x512; her face is 100 pixels wide, near (225, 110)."""
    return data.astronaut()


def corners(box: Box) -> np.ndarray:
    return np.array([box.left, box.top, box.right, box.bottom])


def test_they_start_and_look_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    # The first of this file, for native code says some things only once.
    for finder in (FaceFinder(64, 64), PersonFinder(64, 64)):
        finder(np.zeros((64, 64, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_a_faces_box_holds_dlibs_landmarks_and_little_more() -> None:
    pytest.importorskip("dlib", reason="the eval extra is not installed")
    from prioritycut.metrics.detectors.dlib import DlibFace

    portrait = torch.from_numpy(astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    points = DlibFace()(portrait)[0].numpy()
    (box,) = FaceFinder(512, 512)(astronaut())
    left, top, right, bottom = corners(box)
    # Hers go from the jaw's end at one ear to that at the other, and from the brows, not the hairline, to the chin.
    width, height = right - left, bottom - top
    (low_x, low_y), (high_x, high_y) = points.min(0), points.max(0)
    assert left - 0.1 * width < low_x
    assert right + 0.1 * width > high_x
    assert top + 0.1 * height < low_y < top + 0.45 * height
    assert bottom - 0.15 * height < high_y < bottom + 0.1 * height
    assert width < 1.5 * (high_x - low_x)


def test_every_face_is_found_where_it_was_pasted() -> None:
    frame = np.full((360, 640, 3), 90, np.uint8)
    face = astronaut()[20:220, 130:330]
    frame[60:260, 40:240] = face
    frame[100:300, 380:580] = face
    first, second = sorted(FaceFinder(640, 360)(frame), key=lambda box: box.left)
    # Within a seventh of its width.
    assert np.abs(corners(second) - corners(first) - (340, 40, 340, 40)).max() <= 15


def test_boxes_are_told_in_pixels_of_the_video_however_small_the_frame() -> None:
    frame = astronaut()
    (small,) = FaceFinder(512, 512)(frame)
    (large,) = FaceFinder(1536, 1024)(frame)
    assert np.abs(corners(large) - corners(small) * (3, 2, 3, 2)).max() <= 2


def test_boxes_end_at_the_frames_edge() -> None:
    cut_off = np.ascontiguousarray(astronaut()[90:400, 215:500])
    (box,) = FaceFinder(285, 310)(cut_off)
    assert box.left == 0
    assert 0 <= box.top < box.bottom <= 310


def test_the_near_models_box_begins_where_the_far_ones_does(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = FaceFinder(512, 512)
    (far,) = finder(astronaut())
    monkeypatch.setattr(finder, "_far", finder._near)
    monkeypatch.setattr(finder, "_near", None)
    (without_forehead,) = finder(astronaut())
    monkeypatch.undo()

    class Nobody:
        detections = None

    monkeypatch.setattr(finder, "_far", lambda pixels: Nobody)
    (near,) = finder(astronaut())
    height = far.bottom - far.top
    assert abs(near.top - far.top) < 0.08 * height
    assert without_forehead.top - near.top > 0.08 * height
    assert (near.left, near.right, near.bottom) == (
        without_forehead.left,
        without_forehead.right,
        without_forehead.bottom,
    )


def test_where_nobody_is_nobody_is_found() -> None:
    for pixels in (np.full((240, 320, 3), 128, np.uint8), data.coffee(), np.zeros((1, 1, 3), np.uint8)):
        height, width, _ = pixels.shape
        assert FaceFinder(width, height)(pixels) == []
        assert PersonFinder(width, height)(pixels) is None


def test_a_portrait_is_no_whole_person() -> None:
    person = PersonFinder(512, 512)(astronaut())
    assert person is None or (person.ankle < 0.5 and not is_whole(person, 512))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real clips are not at {REAL}")
def test_a_dancer_is_a_whole_person_from_hair_to_shoes() -> None:
    from prioritycut.metrics.detectors.mediapipe import MediapipePose

    finder, pose = PersonFinder(720, 1080), MediapipePose()
    for pixels in islice(SmallFrames(REAL / "s13.mp4"), 0, 100, 20):
        person = finder(pixels)
        assert person is not None
        assert is_whole(person, 720)
        joints = pose(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255)[0] * 3
        seen = joints[joints.isfinite().all(1)].numpy()
        left, top, right, bottom = corners(person.box)
        # Hands may be blurred, so a few pixels of 720; above the eyes, there is hair.
        assert (seen >= (left - 25, top + 30)).all()
        assert (seen <= (right + 25, bottom)).all()
        # She fills the frame but for a hundred pixels; the ground is white.
        white = (pixels[:, :, :].min(2) > 200)[: top // 3 - 2]
        assert white.mean() > 0.97


def test_without_mediapipe_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    for finder in (FaceFinder, PersonFinder):
        with pytest.raises(UserError, match=r"mediapipe.*pip install 'prioritycut"):
            finder(64, 64)
