"""From a published list to clips, with a video site on this machine: what becomes of each row, and of which pixels."""

from __future__ import annotations

import errno
import json
import re
import shutil
import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from PIL import Image

from numbered_clips import number_shown, write_numbered_video
from prioritycut import cli
from prioritycut.errors import UserError
from prioritycut.preprocessing import downloading
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.jobs import ClipRequest, ListedVideo
from prioritycut.preprocessing.listed import frame_range, make_listed
from prioritycut.preprocessing.manifest import read_manifest
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings, Store
from video_site import Page, VideoSite, video_site

FACES = Path(__file__).parents[2].parent / "shared" / "data" / "faces"
GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())

HEADER = "video_id,start,end,bbox,fps,width,height,partition,person_id"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSES", (0.0, 0.0))


# The whole way, by the command


def row(
    video: str, frames: tuple[int, int], box: str, *, rate: str = "25", frame: str = "128,96", part: str = "train"
) -> str:
    return f"{video},{frames[0]},{frames[1]},{box},{rate},{frame},{part},id1"


def preprocess(site: VideoSite, output: Path, rows: Sequence[str], *options: object) -> dict[str, ClipRecord]:
    """Run the command in this process; returns the manifest's records by clip."""
    metadata = output.with_suffix(".csv")
    metadata.write_text("\n".join([HEADER, *rows, ""]))
    address = f"{site.address}/{{video}}.mp4"
    arguments = ["preprocess", "voxceleb", metadata, output, "--address", address, "--workers", 0, *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["prioritycut", *map(str, arguments)])
        cli.main()
    return {record.clip: record for record in read_manifest(output / "manifest.jsonl")}


BOX = "0-0-64-64"

ROWS = [
    row("good", (10, 30), BOX),
    row("good", (20, 45), "30-20-100-90", part="test"),
    row("good", (50, 61), BOX),
    row("good", (0, 20), "0-0-31-31"),
    row("good", (0, 21), "64-32-128-97"),
    row("good", (0, 22), "-1-0-64-64"),
    row("missing", (0, 20), BOX),
    row("missing", (0, 21), "0-0-200-96"),
    row("truncated", (0, 10), BOX),
    row("truncated", (30, 60), BOX),
    *(row(video, (0, 20), BOX) for video in ("headless", "refused", "down", "broken", "page", "nonsense")),
    "good,30,10,0-0-64-64,25,128,96,train,id1",
    "half,a,row",
]

FATES = {
    "good#000010#000030": ("made", "^$"),
    "good#000020#000045": ("made", "^$"),
    "good#000050#000061": ("corrupt", "60 frames.* wants frames 50 to 60"),
    "good#000000#000020": ("too small", "^the box's longer side has 31 pixels, 64 are wanted$"),
    "good#000000#000021": ("left the frame", "^the box leaves the list's frame of 128x96$"),
    "good#000000#000022": ("left the frame", "^the box leaves the list's frame of 128x96$"),
    "missing#000000#000020": ("removed", "^Unable to download webpage: HTTP Error 404: Not Found$"),
    "missing#000000#000021": ("left the frame", "^the box leaves the list's frame of 128x96$"),
    "truncated#000000#000010": ("made", "^$"),
    "truncated#000030#000060": ("corrupt", "wants frames 30 to 59"),
    "headless#000000#000020": ("corrupt", "."),
    "refused#000000#000020": ("blocked", "^Unable to download webpage: HTTP Error 403: Forbidden$"),
    "down#000000#000020": ("network", "^Unable to download webpage: HTTP Error 500: Internal Server Error$"),
    "broken#000000#000020": ("network", "^300 bytes read, .* more expected$"),
    "page#000000#000020": ("removed", "^a page without a video .Unsupported URL.$"),
    "nonsense#000000#000020": ("corrupt", "."),
}


def test_each_row_of_a_list_ends_as_its_video_and_its_box_have_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_numbered_video(tmp_path / "good.mp4", 60, width=128, height=96).read_bytes()
    streamed = {"container_options": {"movflags": "faststart"}, "options": {"g": "10"}}
    early = write_numbered_video(tmp_path / "early.mp4", 60, width=128, height=96, **streamed).read_bytes()
    pages = {
        "/good.mp4": Page(good),
        "/truncated.mp4": Page(early[: len(early) * 2 // 3]),
        "/headless.mp4": Page(good[: len(good) // 2]),
        "/refused.mp4": Page(status=403),
        "/down.mp4": Page(status=500),
        "/broken.mp4": Page(good, breaks_after=300),
        "/page.mp4": Page(b"<!DOCTYPE html><html><body>Gone.</body></html>", kind="text/html"),
        "/nonsense.mp4": Page(b"no video at all"),
    }
    output = tmp_path / "data"
    with video_site(pages) as site:
        records = preprocess(site, output, ROWS, "--size", 64)
        said = capsys.readouterr().out.replace("\n", " ")
        outcomes = {clip.removeprefix("id1#"): record.outcome for clip, record in records.items()}
        assert outcomes == {clip: outcome for clip, (outcome, _) in FATES.items()}
        for clip, record in records.items():
            assert re.search(FATES[clip.removeprefix("id1#")][1], record.reason), record
            assert str(tmp_path) not in record.reason
            assert record.video == clip.split("#")[1]
        assert "2 rows are malformed and left out (line 18: start 30 is not below end 10, line 19: 3 fields" in said

        made = records["id1#good#000020#000045"]
        assert made.file == "test/id1#good#000020#000045.mp4"
        assert (made.partition, made.start, made.end, made.frames, made.rate) == ("test", 20, 45, 25, "25")
        assert (made.box, made.video_width, made.video_height) == (Box(30, 20, 100, 90), 128, 96)
        assert numbers_in(output, records["id1#good#000010#000030"]) == [*range(10, 30)]
        assert numbers_in(output, records["id1#truncated#000000#000010"]) == [*range(10)]
        files = {str(path.relative_to(output)) for path in output.rglob("*.mp4")}
        assert files == {record.file for record in records.values() if record.file is not None}

        # Repeated, it asks again for what may have passed, and for nothing else.
        site.requests.clear()
        site.pages["/down.mp4"] = Page(good)
        again = preprocess(site, output, ROWS, "--size", 64)
        assert {path for path, _, _ in site.requests} == {"/refused.mp4", "/down.mp4", "/broken.mp4"}
        changed = {clip: record.outcome for clip, record in again.items() if record.outcome != records[clip].outcome}
        assert changed == {"id1#down#000000#000020": "made"}


@pytest.mark.data
def test_real_clips_are_cut_from_a_site_and_the_others_named(tmp_path: Path) -> None:
    if not FACES.is_dir():
        pytest.skip("the real clips are not beside the project")
    content = {name: (FACES / f"{name}.mp4").read_bytes() for name in ("d18", "s20", "s13", "d0")}
    pages = {f"/{name}.mp4": Page(video) for name, video in content.items()}
    pages["/half.mp4"] = Page(content["d0"][: len(content["d0"]) // 2])
    rows = [
        row("d18", (25, 45), "100-60-700-660", frame="960,960"),  # half its size, at 30 frames a second
        row("s20", (10, 22), "40-100-440-500", rate="30", frame="480,908"),
        row("s13", (0, 12), "100-0-620-520", frame="720,1080", part="test"),
        row("s13", (40, 80), "0-600-720-1081", frame="720,1080"),
        row("d0", (0, 20), "0-0-100-100", frame="512,512"),
        row("half", (0, 20), "0-0-300-300", frame="512,512"),
        row("gone", (0, 20), "0-0-300-300", frame="512,512"),
    ]
    output = tmp_path / "data"
    with video_site(pages) as site:
        records = preprocess(site, output, rows, "--size", 128)
    made = {clip.split("#")[1]: record for clip, record in records.items() if record.outcome == "made"}
    assert {
        video: (record.start, record.end, record.box, record.frames, record.rate) for video, record in made.items()
    } == {
        "d18": (30, 54, Box(50, 30, 350, 330), 24, "30"),
        "s20": (10, 22, Box(40, 100, 440, 500), 12, "30"),
        "s13": (0, 12, Box(100, 0, 620, 520), 12, "25"),
    }
    outcomes = [record.outcome for record in records.values() if record.outcome != "made"]
    assert sorted(outcomes) == ["corrupt", "left the frame", "removed", "too small"]
    for video, record in made.items():
        assert record.start is not None
        assert record.end is not None
        assert record.box is not None
        source = pictures_of(FACES / f"{video}.mp4", record.end)[record.start :]
        assert_shows(pictures_of(output / str(record.file)), source, record.box, 128, loss=4.0)


# One video: boxes, frames, pixels


CORNER = Box(0, 0, 64, 64)


def request(
    frames: tuple[int, int] = (0, 10),
    box: Box = CORNER,
    *,
    rate: str = "25",
    frame: tuple[int, int] = (128, 96),
    part: Literal["train", "test"] = "train",
) -> ClipRequest:
    start, end = frames
    return ClipRequest(
        clip=f"v#{start:06d}#{end:06d}",
        partition=part,
        start=start,
        end=end,
        box=box,
        rate=rate,
        width=frame[0],
        height=frame[1],
        line=2,
    )


def make(
    tmp_path: Path, *requests: ClipRequest, size: int = 64, store: Store = "mp4", **where: object
) -> list[ClipRecord]:
    """Make the clips in an empty work folder, which is removed afterwards."""
    work = ListedVideo(video="v", requests=requests, **{"min_size": 16, **where})  # pyright: ignore[reportArgumentType]
    workdir = tmp_path / "work"
    workdir.mkdir()
    records = make_listed(work, ClipSettings(size=size, store=store), output=tmp_path / "data", workdir=workdir)
    shutil.rmtree(workdir)
    assert [record.clip for record in records] == [request.clip for request in requests]
    return records


@pytest.mark.parametrize("halved", [False, True])
def test_the_golden_boxes_are_what_is_cut(tmp_path: Path, halved: bool) -> None:
    golden = [example for example in GOLDEN["crop_decision"] if example["kept"]]
    height, width = golden[0]["frame_hw"]
    factor = 2 if halved else 1
    path = write_pictures(tmp_path / "v.mp4", coloured(3, width // factor, height // factor))
    boxes = [Box(*example["final_bbox"]) for example in golden]
    wanted = [request((0, 3 - number), box, frame=(width, height)) for number, box in enumerate(boxes)]
    records = make(tmp_path, *wanted, path=path)
    # (178, 30, 438, 291) halved is (89, 15, 219, 145.5); coordinates are truncated.
    assert Box(178, 30, 438, 291) in boxes
    halves = [Box(*(edge // factor for edge in (box.left, box.top, box.right, box.bottom))) for box in boxes]
    assert [record.box for record in records] == halves
    assert [record.outcome for record in records] == ["made"] * len(boxes)


@pytest.mark.parametrize(
    ("listed", "real", "frames"),
    [
        ("25", "25", (7, 19)),
        ("25", "30", (7, 19)),
        ("30", "25", (7, 19)),
        ("59.94", "30000/1001", (0, 40)),
        ("25.0", "12", (13, 50)),
        ("29.97", "24", (1, 30)),
        ("15.79", "50", (3, 9)),
    ],
)
def test_a_clip_shows_the_frames_of_the_lists_time_whatever_the_videos_rate(
    tmp_path: Path, listed: str, real: str, frames: tuple[int, int]
) -> None:
    path = write_numbered_video(tmp_path / "v.mp4", 60, width=128, height=96, rate=Fraction(real))  # pyright: ignore[reportArgumentType]
    (record,) = make(tmp_path, request(frames, rate=listed), path=path)
    start, end = frames
    rule = [i for i in range(60) if start * Fraction(real) <= i * Fraction(listed) < end * Fraction(real)]
    if listed == "59.94":  # twice 29.97, whatever thousandths follow
        rule = [*range(20)]
    assert numbers_in(tmp_path / "data", record) == rule
    assert (record.start, record.end, record.rate) == (rule[0], rule[-1] + 1, real)


@pytest.mark.parametrize(
    ("listed", "real"),
    [
        ("29.97", "30000/1001"),
        ("59.94", "60000/1001"),
        ("23.98", "24000/1001"),
        ("23.97", "24000/1001"),
        ("25.0", "25"),
    ],
)
def test_a_rate_that_the_list_rounded_is_the_lists_own(listed: str, real: str) -> None:
    for start, end in ((0, 1), (80, 300), (108_000, 108_342)):
        assert frame_range(request((start, end), rate=listed), Fraction(real)) == (start, end)


def test_a_rate_a_hundredth_away_is_another() -> None:
    assert frame_range(request((3000, 6000), rate="30.0"), Fraction("29.97")) == (2997, 5994)
    assert frame_range(request((2998, 3001), rate="30.0"), Fraction("29.97")) == (2996, 2998)


@pytest.mark.parametrize("frame", [(160, 120), (320, 240), (80, 60), (160, 240)])
def test_the_pixels_are_those_of_an_independent_crop_and_resize(tmp_path: Path, frame: tuple[int, int]) -> None:
    pictures = coloured(12, 160, 120)
    path = write_pictures(tmp_path / "v.mp4", pictures)
    across, down = frame[0] / 160, frame[1] / 120
    box = Box(int(24 * across), int(12 * down), int(124 * across), int(112 * down))
    records = make(tmp_path, request((2, 8), box, frame=frame), path=path, store="png", size=48)
    assert records[0].box == Box(24, 12, 124, 112)
    shown = stored_pictures(tmp_path / "data" / str(records[0].file))
    assert_shows(shown, pictures[2:8], Box(24, 12, 124, 112), 48, loss=1.5)


# Boxes that leave, and where videos lie


def test_a_box_that_leaves_its_frame_may_be_cut_at_the_edge_as_the_lists_authors_did(tmp_path: Path) -> None:
    pictures = coloured(10, 128, 96)
    path = write_pictures(tmp_path / "v.mp4", pictures)
    frame = (256, 192)
    leaving = request((0, 10), Box(100, 92, 200, 212), frame=frame)
    outside = request((1, 10), Box(100, 192, 200, 292), frame=frame)
    (dropped,) = make(tmp_path, leaving, path=path)
    assert (dropped.outcome, dropped.box) == ("left the frame", Box(50, 46, 100, 106))
    made, nowhere = make(tmp_path, leaving, outside, path=path, leaving="cut", size=32, store="png")
    assert (made.outcome, made.box, nowhere.outcome) == ("made", Box(50, 46, 100, 96), "left the frame")
    shown = stored_pictures(tmp_path / "data" / str(made.file))
    assert_shows(shown, pictures, Box(50, 46, 100, 96), 32, loss=1.5)


@pytest.mark.parametrize("other_disk", [False, True])
def test_a_video_that_is_kept_is_downloaded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_disk: bool
) -> None:
    content = write_numbered_video(tmp_path / "source.mp4", 20, width=128, height=96).read_bytes()
    keep = tmp_path / "kept" / "videos"
    if other_disk:
        replace = Path.replace

        def refuse(path: Path, target: Path) -> Path:
            if path.parent.name == "download" and target.parent == keep:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", refuse)
    with video_site({"/v.mp4": Page(content)}) as site:
        for _ in range(2):
            (record,) = make(tmp_path, request(), address=f"{site.address}/v.mp4", keep=keep)
            assert record.outcome == "made"
            assert [(path.name, path.read_bytes()) for path in keep.iterdir()] == [("v.mp4", content)]
        asked = len(site.requests)
        (keep / "v.mp4").write_bytes(b"damaged since")
        (record,) = make(tmp_path, request(), address=f"{site.address}/v.mp4", keep=keep)
        assert len(site.requests) == 2 * asked
    assert record.outcome == "made"
    assert (keep / "v.mp4").read_bytes() == content


def test_a_video_of_no_name_or_kind_is_known_by_its_content(tmp_path: Path) -> None:
    content = write_numbered_video(tmp_path / "source.mp4", 20, width=128, height=96).read_bytes()
    with video_site({"/watch?v=v": Page(content, kind="application/octet-stream")}) as site:
        (record,) = make(tmp_path, request(), address=f"{site.address}/watch?v=v", keep=tmp_path / "kept")
    assert numbers_in(tmp_path / "data", record) == [*range(10)]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["v.mp4"]


def test_a_video_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    content = write_numbered_video(tmp_path / "source.mp4", 20, width=128, height=96).read_bytes()
    keep = tmp_path / "kept"
    with video_site({"/v.mp4": Page(content)}) as site:
        records = make(tmp_path, request(), request((10, 30)), address=f"{site.address}/v.mp4", keep=keep)
    assert [record.outcome for record in records] == ["made", "corrupt"]
    assert not keep.exists()


def test_a_folder_of_videos_that_takes_none_ends_the_run(tmp_path: Path) -> None:
    content = write_numbered_video(tmp_path / "source.mp4", 20, width=128, height=96).read_bytes()
    (tmp_path / "kept").write_bytes(b"a file")
    with (
        video_site({"/v.mp4": Page(content)}) as site,
        pytest.raises(UserError, match=r"kept/v\.mp4: cannot be written"),
    ):
        make(tmp_path, request(), address=f"{site.address}/v.mp4", keep=tmp_path / "kept")


def test_a_video_that_is_nowhere_is_removed_and_one_that_is_none_is_corrupt(tmp_path: Path) -> None:
    (record,) = make(tmp_path, request(), path=tmp_path / "none.mp4")
    assert (record.outcome, record.reason) == ("removed", "its file is gone")
    shutil.rmtree(tmp_path / "work", ignore_errors=True)
    (record,) = make(tmp_path, request())
    assert (record.outcome, record.reason) == ("removed", "neither a file nor an address is known")
    (tmp_path / "v.mp4").write_bytes(b"no video")
    first, second = make(tmp_path, request(), request((10, 20), part="test"), path=tmp_path / "v.mp4")
    assert (first.outcome, second.outcome) == ("corrupt", "corrupt")
    assert (first.partition, second.partition) == ("train", "test")
    assert str(tmp_path) not in first.reason


# Independent truth


def coloured(count: int, width: int, height: int) -> np.ndarray:
    """Smooth moving colours with some detail, whatever an encoder makes of them."""
    time, down, across = np.ogrid[:count, :height, :width]
    levels = [
        128 + 100 * np.sin(across / 9 + time / 3) * np.cos(down / 11),
        128 + 90 * np.cos(down / 7 - time / 4) + 0 * across,
        40 + 170 * across / width + 0 * (down + time),
    ]
    return np.stack(np.broadcast_arrays(*levels), axis=-1).round().clip(0, 255).astype(np.uint8)


def write_pictures(path: Path, pictures: np.ndarray) -> Path:
    """A video that av makes of them, with little loss."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "8"})
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
        stream.codec_context.thread_count = 1
        for pixels in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode())
    return path


def pictures_of(path: Path, count: int | None = None) -> list[np.ndarray]:
    """All frames of a video, or the first so many, by av alone."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), count)]


def stored_pictures(folder: Path) -> list[np.ndarray]:
    """The frames of a clip that is kept as a folder, by Pillow alone."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]


def numbers_in(output: Path, record: ClipRecord) -> list[int]:
    """The numbers that the frames of a clip show."""
    return [number_shown(pixels) for pixels in pictures_of(output / str(record.file))]


def assert_shows(clip: Sequence[np.ndarray], source: Sequence[np.ndarray], box: Box, size: int, *, loss: float) -> None:
    """That a clip is its source's frames, cropped and resized by Pillow, but for a mean loss in levels of 255.

    A box two pixels beside fits worse.
    """
    assert len(clip) == len(source)
    beside = [
        Box(box.left + x, box.top + y, box.right + x, box.bottom + y) for x, y in ((2, 0), (-2, 0), (0, 2), (0, -2))
    ]
    for shown, whole in zip(clip, source, strict=True):
        assert _distance(shown, whole, box, size) < loss
    shown, whole = clip[0], source[0]
    assert min(_distance(shown, whole, other, size) for other in beside) > _distance(shown, whole, box, size)


def _distance(shown: np.ndarray, whole: np.ndarray, box: Box, size: int) -> float:
    crop = Image.fromarray(whole).crop((box.left, box.top, box.right, box.bottom))
    wanted = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))
    assert shown.shape == wanted.shape
    return float(np.abs(shown.astype(int) - wanted).mean())
