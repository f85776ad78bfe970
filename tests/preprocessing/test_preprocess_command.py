"""`prioritycut preprocess` as a person meets it, on videos that are made here and served by a server of our own."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from tensorboard.summary.writer.record_writer import RecordWriter

from numbered_clips import number_shown, write_numbered_video
from prioritycut import cli
from prioritycut.data.layout import open_split
from stand_in_jobs import brightness, write_brightening_video
from wire_format import feature, field

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, what it printed, what it complained of."""

    def invoke(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prioritycut", "preprocess", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return invoke


def records(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, count in (("one", 30), ("two", 5), ("three", 12)):
        write_brightening_video(folder / f"{name}.mp4", count)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


WHOLE = ("--subject", "whole", "--size", 64, "--workers", 0)


def test_a_folder_of_videos_becomes_clips_of_their_middle_squares(run: Run, videos: Path, tmp_path: Path) -> None:
    code, said, complaint = run("folder", videos, tmp_path / "out", *WHOLE)
    assert (code, complaint) == (0, "")
    made = {record["video"]: record for record in records(tmp_path / "out")}
    assert {video: record["outcome"] for video, record in made.items()} == {
        "one.mp4": "made",
        "two.mp4": "made",
        "three.mp4": "made",
        "broken.mp4": "corrupt",
    }
    assert [record["partition"] for record in made.values()].count("test") == 1
    size = sum((tmp_path / "out" / record["file"]).stat().st_size for record in made.values() if record["file"])
    assert f"3 made ({size / 1000:.1f} kB), 1 corrupt; {tmp_path / 'out' / 'manifest.jsonl'} tells of each" in said
    for name, count in (("one", 30), ("two", 5), ("three", 12)):
        record = made[f"{name}.mp4"]
        assert (record["frames"], record["size"], record["rate"]) == (count, 64, "25")
        levels = [frame.mean() for frame in frames(tmp_path / "out" / record["file"])]
        np.testing.assert_allclose(levels, [brightness(number) for number in range(count)], atol=1)
    code, said, _ = run("status", tmp_path / "out")
    assert code == 0
    assert "folder: " in said
    assert "videos: 4 of 4 done" in said


def test_repeated_it_tries_what_was_mended_if_asked(run: Run, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    write_brightening_video(videos / "a.mp4", 10)
    (videos / "b.mp4").write_bytes((videos / "a.mp4").read_bytes()[:300])
    assert run("folder", videos, tmp_path / "out", *WHOLE)[0] == 0
    write_brightening_video(videos / "b.mp4", 10)
    run("folder", videos, tmp_path / "out", *WHOLE)
    assert [record["outcome"] for record in records(tmp_path / "out")].count("corrupt") == 1
    code, said, _ = run("folder", videos, tmp_path / "out", *WHOLE, "--retry", "corrupt", "lost subject")
    assert code == 0
    assert "2 made" in said
    assert "corrupt" not in said


def test_wrong_input_is_refused_in_one_line(run: Run, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "list.csv").write_text("video_id,start,end,bbox,fps,width,height,partition,person_id\n")
    out = tmp_path / "out"
    for arguments, words in (
        (("folder", tmp_path / "nowhere", out, *WHOLE), "nowhere: no such file or folder"),
        (("folder", tmp_path, out, *WHOLE), "expected mp4, mov"),
        (("folder", videos, tmp_path / "file", *WHOLE), "file: is a file; name a folder"),
        (("folder", videos, videos, *WHOLE), "lies in the output"),
        (("folder", videos, out, *WHOLE, "--size", 63), "size must be even for mp4"),
        (("folder", videos, out, *WHOLE, "--test-share", 2), "test-share must lie in 0 to below 1"),
        (("folder", videos, out, *WHOLE, "--workers", -1), "workers must lie in 0 to 1024"),
        (("folder", videos / "broken.mp4", out, *WHOLE), "not one clip could be made"),
        (("bair", tmp_path, out), "0 TFRecord files"),
        (("voxceleb", tmp_path / "nothing.csv", out), "nothing.csv: cannot be read"),
        (("voxceleb", tmp_path / "list.csv", out), "0 clips, expected one in each row"),
        (("taichi", tmp_path / "list.csv", out, "--address", "http://127.0.0.1/"), "address must hold {video}"),
        (("status", tmp_path), "holds no preprocess.json"),
        ((), "name what from: voxceleb, taichi, bair or folder"),
    ):
        code, _, complaint = run(*arguments)
        assert (code, complaint.count("\n")) == (2, 1), complaint
        assert complaint.startswith("prioritycut: ")
        assert words in complaint


def test_other_settings_for_the_same_output_are_refused(run: Run, videos: Path, tmp_path: Path) -> None:
    assert run("folder", videos / "two.mp4", tmp_path / "out", *WHOLE)[0] == 0
    code, _, complaint = run("folder", videos / "two.mp4", tmp_path / "out", *WHOLE, "--store", "png")
    assert code == 2
    assert "was begun with --store mp4, now it is png" in complaint


def test_what_cannot_be_told_apart_by_name_alone_keeps_its_split(run: Run, videos: Path, tmp_path: Path) -> None:
    run("folder", videos, tmp_path / "out", *WHOLE, "--limit", 2)
    half = {record["video"]: record["partition"] for record in records(tmp_path / "out")}
    run("folder", videos, tmp_path / "out", *WHOLE)
    run("folder", videos, tmp_path / "whole", *WHOLE)
    whole = {record["video"]: record["partition"] for record in records(tmp_path / "whole")}
    assert len(half) == 2
    assert whole.items() >= half.items()
    assert whole == {record["video"]: record["partition"] for record in records(tmp_path / "out")}


def test_bair_is_made_of_its_records(run: Run, tmp_path: Path) -> None:
    seen = [np.full((64, 64, 3), 8 * number, np.uint8).tobytes() for number in range(30)]
    example = field(1, b"".join(feature(f"{n}/image_main/encoded", 1, field(1, data)) for n, data in enumerate(seen)))
    for part, examples in (("train", 3), ("test", 1)):
        (tmp_path / "records" / part).mkdir(parents=True)
        with (tmp_path / "records" / part / "a.tfrecords").open("wb") as file:
            for _ in range(examples):
                RecordWriter(file).write(example)
    common = ("bair", tmp_path / "records")
    code, said, complaint = run(*common, tmp_path / "out", "--size", 128, "--workers", 0)
    assert (code, complaint) == (0, "")
    assert "clips of 128x128 are enlarged and show no more detail" in said
    assert [record["file"] for record in records(tmp_path / "out")] == [
        "test/000000.mp4",
        *(f"train/00000{number}.mp4" for number in range(3)),
    ]
    asked = json.loads((tmp_path / "out" / "preprocess.json").read_text())["asked"]
    assert asked == {"videos": 2, "train": 3, "test": 1}
    assert run(*common, tmp_path / "shards", "--size", 64, "--workers", 0, "--store", "shards")[0] == 0
    assert [record["file"] for record in records(tmp_path / "shards")] == [
        "test/000000.tar#000000.mp4",
        *(f"train/000000.tar#00000{number}.mp4" for number in range(3)),
    ]


def test_clips_can_be_packed_into_shards_that_training_reads(run: Run, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("folder", videos, out, *WHOLE, "--store", "shards", "--limit", 3)
    code, said, complaint = run("folder", videos, out, *WHOLE, "--store", "shards")
    assert (code, complaint) == (0, "")
    assert "3 made" in said
    assert [path.name for path in out.glob("*/*.mp4")] == []
    names = [clip.name for split in ("train", "test") for clip in open_split(str(out), split)]  # type: ignore[arg-type]
    made = [record for record in records(out) if record["outcome"] == "made"]
    assert sorted(names) == sorted(record["file"].split("#", 1)[1] for record in made)
    assert "now gone" not in run("status", out)[1]
    for shard in out.glob("*/*.tar"):
        shard.unlink()
    assert "3 clips made before and now gone" in run("status", out)[1]
    assert "3 made" in run("folder", videos, out, *WHOLE, "--store", "shards", "--retry", "made")[1]
    assert "now gone" not in run("status", out)[1]


@pytest.mark.parametrize("command", ["voxceleb", "taichi", "bair", "folder", "status"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    code, said, _ = run(command, "--help")
    assert code == 0
    assert f"prioritycut preprocess {command}" in said
    assert "OUTPUT" in said
    assert command in run("--help")[1]


# A published list, whose video site is here.


class Site(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """The address template of a video site, the folder it serves, and what it was asked for."""
    folder, asked = tmp_path / "site", list[str]()
    folder.mkdir()
    handler = type("Handler", (Site,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{{video}}.mp4", folder, asked
        server.shutdown()
        thread.join()


HEADER = "video_id,start,end,bbox,fps,width,height,partition,person_id"
ROWS = (
    "good,0,10,0-0-64-64,25,64,64,train,id1",
    "good,5,20,0-0-64-64,25,64,64,test,id1",
    "good,5,20,0-0-40-40,25,64,64,test,id2",
    "good,5,20,32-32-96-96,25,64,64,train,id3",
    "lost,0,10,0-0-64-64,25,64,64,train,id4",
    "torn,0,100,0-0-64-64,25,64,64,train,id5",
    "this row,is,malformed",
)


@pytest.fixture
def listed(site: tuple[str, Path, list[str]], tmp_path: Path) -> Path:
    _, folder, _ = site
    write_numbered_video(folder / "good.mp4", 40)
    write_numbered_video(tmp_path / "whole.mp4", 200, container_options={"movflags": "faststart"})
    content = (tmp_path / "whole.mp4").read_bytes()
    (folder / "torn.mp4").write_bytes(content[: len(content) // 3])
    path = tmp_path / "vox-metadata.csv"
    path.write_text("\n".join((HEADER, *ROWS)) + "\n")
    return path


def test_a_list_is_downloaded_cut_and_accounted_for(
    run: Run, site: tuple[str, Path, list[str]], listed: Path, tmp_path: Path
) -> None:
    address, _, asked = site
    code, said, complaint = run(
        "voxceleb", listed, tmp_path / "out", "--size", 64, "--workers", 0, "--address", address
    )
    assert (code, complaint) == (0, "")
    assert "line 8" in said  # the malformed row
    outcomes = {record["clip"]: record["outcome"] for record in records(tmp_path / "out")}
    assert outcomes == {
        "id1#good#000000#000010": "made",
        "id1#good#000005#000020": "made",
        "id2#good#000005#000020": "too small",
        "id3#good#000005#000020": "left the frame",
        "id4#lost#000000#000010": "removed",
        "id5#torn#000000#000100": "corrupt",
    }
    clip = frames(tmp_path / "out" / "test" / "id1#good#000005#000020.mp4")
    assert [number_shown(frame) for frame in clip] == list(range(5, 20))
    before = list(asked)
    run("voxceleb", listed, tmp_path / "out", "--size", 64, "--workers", 0, "--address", address)
    assert asked == before
    code, said, _ = run("status", tmp_path / "out")
    assert "vox-metadata.csv" in said
    assert "132,606" in said


def test_of_a_list_a_part_can_be_made_first_and_videos_taken_from_a_folder(
    run: Run, site: tuple[str, Path, list[str]], listed: Path, tmp_path: Path
) -> None:
    address, folder, asked = site
    common = (listed, tmp_path / "out", "--size", 64, "--workers", 0, "--address", address)
    assert run("voxceleb", *common, "--partition", "test", "--videos", folder)[0] == 0
    assert {record["clip"] for record in records(tmp_path / "out")} == {
        "id1#good#000005#000020",
        "id2#good#000005#000020",
    }
    assert asked == []
    assert run("voxceleb", *common, "--keep-videos", tmp_path / "kept")[0] == 0
    assert len(records(tmp_path / "out")) == 6
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["good.mp4"]
    code, _, complaint = run("voxceleb", *common, "--cookies", tmp_path / "none.txt")
    assert code == 2
    assert "none.txt: no such file" in complaint


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from prioritycut.cli import main
sys.argv = ["prioritycut", "preprocess", *sys.argv[1:]]
main()
"""


def test_a_disk_that_takes_no_more_ends_it_in_one_line(run: Run, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("folder", videos, out, *WHOLE)
    done = subprocess.run([sys.executable, "-c", LIMITED, *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "disk" in done.stderr
    assert not (out / ".work").exists()
    assert all(path.stat().st_size <= 2000 for path in out.rglob("*") if path.is_file())
    assert run(*command)[0] == 0
    assert [record["outcome"] for record in records(out)].count("made") == 3
