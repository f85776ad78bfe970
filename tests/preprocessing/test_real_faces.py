"""The real clips of people beside the project, cut by tracking and judged by detectors that had no part in it.

Faces are followed by mediapipe's full-range detector; whether the clips show them is asked of dlib's histograms of
gradients and of mediapipe's mesh, which stands on another detector. test_tracked.py does the same on drawn videos.
"""

from __future__ import annotations

from pathlib import Path

import av
import pytest
import torch

from portraits import REAL
from prioritycut.data.clips import read_clip
from prioritycut.preprocessing.jobs import Subject, TrackedVideo
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.tracked import make_tracked

pytest.importorskip("mediapipe", reason="the eval extra is not installed")
pytest.importorskip("dlib", reason="the eval extra is not installed")
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real clips are not at {REAL}")

SIZE = 128


def made_from(name: str, subject: Subject, output: Path) -> list[ClipRecord]:
    path = REAL / f"{name}.mp4"
    work = TrackedVideo(video=path.name, path=path, partition="train", subject=subject, min_size=SIZE)
    workdir = output / ".work" / name
    workdir.mkdir(parents=True)
    return make_tracked(work, ClipSettings(size=SIZE), output=output, workdir=workdir)


def frames_with_a_face(clip: torch.Tensor) -> tuple[float, float]:
    """Shares of the frames in which mediapipe's mesh, and dlib in every fifth of them, find a face."""
    from prioritycut.metrics.detectors.dlib import DlibFace
    from prioritycut.metrics.detectors.mediapipe import MediapipeFace

    mesh, dlib = MediapipeFace()(clip), DlibFace()(clip[::5])
    return float(mesh[:, 0, 0].isfinite().float().mean()), float(dlib[:, 0, 0].isfinite().float().mean())


def assert_shows_its_face(record: ClipRecord, output: Path) -> None:
    assert record.outcome == "made"
    box = record.box
    assert box is not None
    assert record.video_width is not None
    assert record.video_height is not None
    assert box.right - box.left == box.bottom - box.top
    assert 0 <= box.left < box.right <= record.video_width
    assert 0 <= box.top < box.bottom <= record.video_height
    clip = read_clip(output / str(record.file))
    assert clip.shape == (record.frames, 3, SIZE, SIZE)
    mesh, dlib = frames_with_a_face(clip)
    assert mesh >= 0.98
    assert dlib >= 0.98


def test_a_real_face_is_in_all_frames_of_its_clip(tmp_path: Path) -> None:
    (record,) = made_from("d0", "face", tmp_path)
    assert (record.start, record.end) == (0, 78)
    assert_shows_its_face(record, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["d0", "d3", "d6", "d10", "d11", "d13", "d14", "d18", "s20"])
def test_each_real_portrait_gives_one_clip_of_its_whole_length(name: str, tmp_path: Path) -> None:
    (record,) = made_from(name, "face", tmp_path)
    with av.open(str(REAL / f"{name}.mp4")) as container:
        length = sum(1 for _ in container.decode(video=0))
    assert (record.start, record.end, record.frames) == (0, length, length)
    assert_shows_its_face(record, tmp_path)


@pytest.mark.slow
def test_the_dancers_face_moves_on_before_sixty_four_frames_are_over(tmp_path: Path) -> None:
    # A face of 90 pixels, of a body in full, which sways by more than its own width.
    records = made_from("s13", "face", tmp_path)
    assert {record.outcome for record in records} == {"lost subject"}
    assert [records[0].start, *(record.end for record in records)] == [
        *(record.start for record in records),
        103,
    ]


@pytest.mark.slow
def test_the_dancer_gives_a_clip_of_a_person(tmp_path: Path) -> None:
    (record,) = made_from("s13", "person", tmp_path)
    assert (record.outcome, record.start, record.end) == ("made", 0, 103)
    # The frame is 720 wide and she fills its 1080 in height: the square keeps her head.
    assert record.box is not None
    assert (record.box.left, record.box.right, record.box.bottom - record.box.top) == (0, 720, 720)
    clip = read_clip(tmp_path / str(record.file))
    mesh, _ = frames_with_a_face(torch.nn.functional.interpolate(clip[:, :, :48, 32:96], scale_factor=4))
    assert mesh >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["d0", "d13", "s20"])
def test_portraits_hold_nobody_from_head_to_ankle(name: str, tmp_path: Path) -> None:
    (record,) = made_from(name, "person", tmp_path)
    assert record.outcome == "lost subject"
    assert record.reason.startswith("nobody was seen from head to ankle in ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["d3", "d6", "d10", "d14", "s13", "s20"])
def test_moving_faces_and_zooms_are_no_change_of_shot(name: str, tmp_path: Path) -> None:
    (record,) = made_from(name, "whole", tmp_path)
    assert (record.outcome, record.start) == ("made", 0)
