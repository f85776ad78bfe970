"""Drawn videos of rectangles that stand for faces and people, with stand-in detectors that find their colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from prioritycut.data.media import Pixels
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.jobs import Subject, TrackedVideo
from prioritycut.preprocessing.looking import SmallFrames
from prioritycut.preprocessing.names import clip_names, video_name
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.tracked import Finders, make_tracked
from prioritycut.preprocessing.tracking import Person

RED, BLUE, GREY = (220, 30, 30), (30, 30, 220), (120, 120, 120)
WIDTH, HEIGHT = 320, 240


class ColourFinder:
    """Boxes of all regions of a colour, in pixels of the video."""

    def __init__(self, colour: tuple[int, int, int], width: int, height: int) -> None:
        self._colour, self._width, self._height = np.array(colour), width, height

    def __call__(self, pixels: Pixels) -> list[Box]:
        rows, columns, _ = pixels.shape
        x, y = self._width / columns, self._height / rows
        regions, _ = ndimage.label(np.abs(pixels.astype(int) - self._colour).max(2) < 60)
        return [
            Box(round(across.start * x), round(down.start * y), round(across.stop * x), round(down.stop * y))
            for down, across in ndimage.find_objects(regions)
        ]


def find_faces(width: int, height: int) -> ColourFinder:
    return ColourFinder(RED, width, height)


def find_person(width: int, height: int) -> Callable[[Pixels], Person | None]:
    finder = ColourFinder(BLUE, width, height)

    def find(pixels: Pixels) -> Person | None:
        return Person(boxes[0], 0.99, 0.99) if (boxes := finder(pixels)) else None

    return find


STAND_INS = Finders(find_faces, find_person)


def drawn(
    *boxes: Box, colour: tuple[int, int, int] = RED, ground: tuple[int, int, int] = GREY, size: tuple[int, int] = (0, 0)
) -> Pixels:
    """Rectangles on an even ground."""
    pixels = np.empty((size[1] or HEIGHT, size[0] or WIDTH, 3), np.uint8)
    pixels[:] = ground
    for box in boxes:
        pixels[max(box.top, 0) : box.bottom, max(box.left, 0) : box.right] = colour
    return pixels


def lossless(path: Path, frames: list[Pixels], *, rotation: int = 0) -> Path:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0", "preset": "ultrafast"})
        (stream.height, stream.width), stream.pix_fmt = frames[0].shape[:2], "yuv444p"
        stream.codec_context.thread_count = 1
        if rotation:
            stream.set_display_rotation(rotation)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def work_on(path: Path, subject: Subject = "face", **rules) -> TrackedVideo:
    work = TrackedVideo(video=path.name, path=path, partition="train", subject=subject, min_size=64)
    return replace(work, **rules)


def made_from(work: TrackedVideo, output: Path, size: int = 64) -> list[ClipRecord]:
    workdir = output / ".work" / "one"
    workdir.mkdir(parents=True, exist_ok=True)
    return make_tracked(work, ClipSettings(size=size), output=output, workdir=workdir, finders=STAND_INS)


def told(records: list[ClipRecord]) -> list[tuple[str, str]]:
    return [(record.clip, record.outcome) for record in records]


def read_frames(path: Path) -> list[Pixels]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


FACE = Box(120, 80, 200, 160)


def test_a_still_face_becomes_a_clip_of_its_frames_and_its_square(tmp_path: Path) -> None:
    path = lossless(tmp_path / "talk.mp4", [drawn(FACE)] * 70 + [drawn()] * 10)
    (record,) = made_from(work_on(path), tmp_path / "out")
    assert (record.clip, record.outcome, record.reason) == ("talk#000000#000070", "made", "")
    # 80 wide: a side of 96 around (160, 120).
    assert record.box == Box(112, 72, 208, 168)
    assert (record.start, record.end, record.frames, record.video_width, record.video_height) == (0, 70, 70, 320, 240)
    assert (record.file, record.partition) == ("train/talk#000000#000070.mp4", "train")
    frames = read_frames(tmp_path / "out" / "train" / "talk#000000#000070.mp4")
    assert len(frames) == 70
    for pixels in frames[::10]:
        assert pixels.shape == (64, 64, 3)
        # The face fills 80 of 96 pixels, so of 64 those from 5.3 to 58.7.
        red = np.abs(pixels.astype(int) - RED).max(2) < 60
        assert red[8:56, 8:56].all()
        assert not red[:4].any()
        assert not red[-4:].any()
        assert not red[:, :4].any()
        assert not red[:, -4:].any()


def test_a_moving_face_stays_inside_its_clip_throughout(tmp_path: Path) -> None:
    places = [Box(100 + number, 80, 180 + number, 160) for number in range(70)]
    path = lossless(tmp_path / "walk.mp4", [drawn(place) for place in places])
    first, second = made_from(work_on(path, min_frames=10), tmp_path / "out")
    # Counted with the last column, 81 wide: moved by d, (81 - d) / (81 + d) is a quarter at 48.6.
    assert (first.clip, second.clip) == ("walk#000000#000049", "walk#000049#000070")
    # 128 wide after 48 steps, so 153.6 around (164, 120); then 100 wide.
    assert first.box == Box(87, 43, 240, 196)
    assert second.box == Box(139, 60, 259, 180)
    for record in (first, second):
        assert record.file is not None
        for pixels in read_frames(tmp_path / "out" / record.file):
            red = np.abs(pixels.astype(int) - RED).max(2) < 90
            # But for colour that the encoder spreads.
            assert red[[0, -1]].mean() < 0.05
            assert red[:, [0, -1]].mean() < 0.05
            assert red.sum() > 0.8 * (80 / 153.6 * 64) ** 2


def test_two_faces_in_the_same_frames_get_two_names_in_the_order_from_left(tmp_path: Path) -> None:
    left, right = Box(30, 80, 110, 160), Box(200, 80, 280, 160)
    path = lossless(tmp_path / "pair.mp4", [drawn(left, right)] * 64)
    records = made_from(work_on(path), tmp_path / "out")
    assert told(records) == [("pair#000000#000064", "made"), ("pair#000000#000064#1", "made")]
    assert [record.box for record in records] == [Box(22, 72, 118, 168), Box(192, 72, 288, 168)]
    assert sorted(file.name for file in (tmp_path / "out" / "train").iterdir()) == [
        "pair#000000#000064#1.mp4",
        "pair#000000#000064.mp4",
    ]


def test_a_cut_to_a_face_at_the_same_place_gives_two_clips(tmp_path: Path) -> None:
    shots = [drawn(FACE)] * 16 + [drawn(FACE, ground=(30, 160, 60))] * 14
    records = made_from(work_on(lossless(tmp_path / "cut.mp4", shots), min_frames=10), tmp_path / "out")
    assert told(records) == [("cut#000000#000016", "made"), ("cut#000016#000030", "made")]


def test_short_and_small_ones_are_dropped_with_their_reason(tmp_path: Path) -> None:
    small = Box(230, 150, 280, 213)
    frames = [drawn(FACE, small)] * 63 + [drawn(small)]
    records = made_from(work_on(lossless(tmp_path / "few.mp4", frames)), tmp_path / "out")
    assert [(record.clip, record.outcome, record.reason) for record in records] == [
        ("few#000000#000063", "lost subject", "the face was followed for 63 of at least 64 frames"),
        ("few#000000#000064", "too small", "the face's longer side has 63 pixels, 64 are wanted"),
    ]
    assert [(record.start, record.end, record.frames, record.file) for record in records] == [
        (0, 63, 0, None),
        (0, 64, 0, None),
    ]
    assert not (tmp_path / "out" / "train").exists() or not list((tmp_path / "out" / "train").iterdir())


def test_a_square_that_leaves_the_frame_is_moved_inside_or_dropped(tmp_path: Path) -> None:
    path = lossless(tmp_path / "edge.mp4", [drawn(Box(2, 60, 102, 160))] * 8)
    (shifted,) = made_from(work_on(path, min_frames=8), tmp_path / "shift")
    assert (shifted.outcome, shifted.box) == ("made", Box(0, 50, 120, 170))
    (dropped,) = made_from(work_on(path, min_frames=8, leaving="drop"), tmp_path / "drop")
    assert (dropped.outcome, dropped.file) == ("left the frame", None)
    # The corner lies at -8 and is cut to a whole pixel.
    assert dropped.box == Box(-8, 50, 112, 170)


def test_a_close_up_gets_the_largest_square_that_holds_it(tmp_path: Path) -> None:
    path = lossless(tmp_path / "close.mp4", [drawn(Box(60, 0, 270, 230))] * 8)
    (record,) = made_from(work_on(path, min_frames=8), tmp_path / "out")
    assert (record.outcome, record.box) == ("made", Box(45, 0, 285, 240))


def test_a_video_without_a_face_says_how_many_frames_were_looked_at(tmp_path: Path) -> None:
    path = lossless(tmp_path / "empty.mp4", [drawn()] * 30)
    (record,) = made_from(work_on(path), tmp_path / "out")
    assert (record.clip, record.outcome, record.reason) == ("empty", "lost subject", "no face was found in 30 frames")
    assert (record.start, record.end, record.box) == (0, 30, None)


def test_what_cannot_be_read_is_corrupt_in_the_readers_words(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no video" * 100)
    (record,) = made_from(work_on(path), tmp_path / "out")
    assert (record.clip, record.outcome) == ("broken", "corrupt")
    assert "no video that can be read" in record.reason
    assert str(tmp_path) not in record.reason
    (missing,) = made_from(work_on(tmp_path / "gone.mp4"), tmp_path / "out")
    assert (missing.outcome, missing.reason) == ("corrupt", "there is no such file")


def test_of_a_video_that_breaks_off_the_clips_before_the_break_are_made(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    frames = [drawn(FACE)] * 30 + [drawn()] * 5 + [drawn(FACE)] * 35
    noisy = [(pixels + generator.integers(0, 2, pixels.shape)).astype(np.uint8) for pixels in frames]
    whole = lossless(tmp_path / "whole.mp4", noisy)
    half = tmp_path / "half.mp4"
    half.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.8)])
    records = made_from(work_on(half, min_frames=30), tmp_path / "out")
    assert told(records)[0] == ("half#000000#000030", "made")
    assert told(records)[-1] == ("half", "corrupt")
    assert "breaks off after" in records[-1].reason
    assert len(read_frames(tmp_path / "out" / "train" / "half#000000#000030.mp4")) == 30


def test_the_same_video_gives_the_same_records_and_bytes(tmp_path: Path) -> None:
    places = [Box(100 + 4 * number, 80, 180 + 4 * number, 160) for number in range(20)]
    path = lossless(tmp_path / "walk.mp4", [drawn(place) for place in places])
    once, again = (made_from(work_on(path, min_frames=5), tmp_path / name) for name in ("a", "b"))
    assert once == again
    assert all(record.hash for record in once)


PERSON = Box(130, 18, 190, 221)


def test_a_person_is_followed_in_a_square_that_stays(tmp_path: Path) -> None:
    frames = [drawn(replace(PERSON, left=130 + n, right=190 + n), colour=BLUE) for n in range(20)]
    path = lossless(tmp_path / "yoga.mp4", frames)
    (record,) = made_from(work_on(path, "person", min_frames=20), tmp_path / "out")
    assert (record.clip, record.outcome) == ("yoga#000000#000020", "made")
    # 203 high: 223.3 around (160, 119.5), whose right edge the person's reaches after 81 frames.
    assert record.box == Box(48, 7, 271, 230)


def test_people_are_not_looked_for_in_small_videos(tmp_path: Path) -> None:
    path = lossless(tmp_path / "yoga.mp4", [drawn(PERSON, colour=BLUE)] * 3)
    (record,) = made_from(work_on(path, "person", min_size=205), tmp_path / "out")
    # 300 pixels for 256 (SPEC 7.3): 240.2 for 205, and this one has 240.
    assert (record.clip, record.outcome) == ("yoga", "too small")
    assert record.reason == "the video's shorter side has 240 pixels, 241 are wanted"
    (record,) = made_from(work_on(path, "person", min_size=204, min_frames=1), tmp_path / "out")
    assert record.outcome == "made"


def test_nobody_is_a_lost_subject(tmp_path: Path) -> None:
    path = lossless(tmp_path / "yoga.mp4", [drawn()] * 3)
    (record,) = made_from(work_on(path, "person"), tmp_path / "out")
    assert (record.outcome, record.reason) == ("lost subject", "nobody was seen from head to ankle in 3 frames")


def test_whole_frames_are_cut_at_changes_of_shot_and_at_the_longest_length(tmp_path: Path) -> None:
    shots = [drawn(FACE)] * 5 + [drawn(ground=(30, 160, 60))] + [drawn(ground=(240, 240, 90))] * 13
    path = lossless(tmp_path / "film.mp4", shots)
    records = made_from(work_on(path, "whole", max_frames=10), tmp_path / "out")
    assert told(records) == [
        ("film#000000#000005", "made"),
        ("film#000005#000006", "lost subject"),
        ("film#000006#000016", "made"),
        ("film#000016#000019", "made"),
    ]
    assert records[1].reason == "the shot has 1 of at least 2 frames"
    assert {record.box for record in records} == {Box(40, 0, 280, 240)}


def test_a_middle_square_below_the_least_size_is_too_small(tmp_path: Path) -> None:
    path = lossless(tmp_path / "film.mp4", [drawn()] * 3)
    (record,) = made_from(work_on(path, "whole", min_size=241), tmp_path / "out")
    assert (record.outcome, record.reason) == ("too small", "the middle square has 240 pixels, 241 are wanted")


def test_gifs_strips_and_folders_of_pictures_are_videos_too(tmp_path: Path) -> None:
    pictures = [Image.fromarray(drawn(FACE)) for _ in range(4)]
    pictures[1].putpixel((0, 0), (0, 0, 0))
    pictures[3].putpixel((0, 0), (0, 0, 0))
    pictures[0].save(tmp_path / "one.gif", save_all=True, append_images=pictures[1:], duration=40)
    (tmp_path / "two").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "two" / f"{number}.png")
    for name in ("one.gif", "two"):
        (record,) = made_from(work_on(tmp_path / name, min_frames=4), tmp_path / "out")
        assert (record.outcome, record.frames, record.box) == ("made", 4, Box(112, 72, 208, 168))
        assert record.clip.startswith(name.partition(".")[0])


def test_large_videos_are_looked_at_upright_and_360_pixels_high(tmp_path: Path) -> None:
    large = drawn(Box(300, 200, 600, 500), size=(1280, 720))
    path = lossless(tmp_path / "large.mp4", [large] * 3)
    assert [pixels.shape for pixels in SmallFrames(path)] == [(360, 640, 3)] * 3
    (record,) = made_from(work_on(path, min_frames=3), tmp_path / "out")
    assert record.box == Box(270, 170, 630, 530)
    turned = lossless(tmp_path / "phone.mp4", [large] * 3, rotation=90)
    frames = list(SmallFrames(turned))
    assert [pixels.shape for pixels in frames] == [(360, 202, 3)] * 3
    # A quarter turn takes what lies left of the middle to above or below it, and what lies above to left or right.
    (record,) = made_from(work_on(turned, min_frames=3), tmp_path / "out")
    assert (record.video_width, record.video_height) == (720, 1280)
    assert record.box is not None
    with av.open(str(tmp_path / "out" / str(record.file))) as container:
        middle = next(container.decode(video=0)).to_ndarray(format="rgb24")[16:48, 16:48]
    assert np.abs(middle.astype(int) - RED).max() < 60


def test_small_videos_are_not_enlarged(tmp_path: Path) -> None:
    frames = SmallFrames(lossless(tmp_path / "small.mp4", [drawn()] * 2))
    assert [pixels.shape for pixels in frames] == [(240, 320, 3)] * 2
    assert (frames.count, frames.fault) == (2, None)


def test_a_detector_that_cannot_start_is_no_fault_of_the_video(tmp_path: Path) -> None:
    def refuse(width: int, height: int) -> ColourFinder:
        raise UserError("the package is missing; install it")

    path = lossless(tmp_path / "talk.mp4", [drawn(FACE)] * 2)
    with pytest.raises(UserError, match="package is missing"):
        make_tracked(
            work_on(path),
            ClipSettings(size=64),
            output=tmp_path,
            workdir=tmp_path,
            finders=Finders(refuse, find_person),
        )


def test_names_of_videos_are_safe_and_stay_apart() -> None:
    assert video_name("walk.mp4") == "walk"
    assert video_name("Ein_Film-2.mp4") == "Ein_Film-2"
    assert video_name("Spaß.mp4") == "Spaß"
    others = ["a/b.mp4", "a_b.mp4", "a/b.mov", "a b.mp4", "a#b.mp4", "a.b.mp4", "a_b.mkv", "a_b", "a\nb.mp4", "A/b.mp4"]
    names = [video_name(video) for video in others]
    assert len({name.lower() for name in names if name != "a_b"}) == len(others) - 1
    for name in [*names, video_name("x" * 300 + ".mp4"), video_name("视频" * 60 + ".mp4"), video_name("\udcff.mp4")]:
        assert not set(name) & set("#./\\ \n")
        assert len(name.encode()) <= 120


def test_names_of_clips_tell_their_frames_and_count_subjects_of_the_same() -> None:
    spans = [(0, 64), (0, 64), (0, 64), (0, 70), (1000000, 1000064)]
    assert clip_names("a.mp4", spans) == [
        "a#000000#000064",
        "a#000000#000064#1",
        "a#000000#000064#2",
        "a#000000#000070",
        "a#1000000#1000064",
    ]
