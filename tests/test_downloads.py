"""Weights from the net: a file is checked, whole or not there, and everything that goes wrong is one line."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from rich.console import Console

from prioritycut import downloads
from prioritycut.downloads import checksum, checksum_in_name, download
from prioritycut.errors import UserError
from prioritycut.losses import PerceptualConfig, load_vgg19
from prioritycut.losses import perceptual as perceptual_module

CONTENT = bytes(range(256)) * 4096
"""A megabyte."""
NAME = f"net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"


class Server(ThreadingHTTPServer):
    """Serves one file under any name, as badly as it is told.

    Attributes:
        content: What it serves.
        ranges: Whether it can go on in the middle.
        breaks_after: Bytes of a body after which it hangs up, request by request; `None` sends all.
        stalls: Whether it answers and then sends nothing.
        pause: Seconds before each piece of a body.
        asked: The `Range` header of each request so far, or "".
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.ranges, self.stalls, self.pause = content, True, False, 0.0
        self.breaks_after = list[int | None]()
        self.asked = list[str]()
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{NAME}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range", "")
        server.asked.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        if start and start >= len(server.content):
            return self.send_error(416)
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.stalls:
            server.over.wait(10)
            return None
        breaks = server.breaks_after.pop(0) if server.breaks_after else None
        for piece in range(0, len(body) if breaks is None else breaks, 1 << 16):
            time.sleep(server.pause)
            self.wfile.write(body[: len(body) if breaks is None else breaks][piece : piece + (1 << 16)])
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    made = Server(CONTENT)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.over.set()
    made.shutdown()
    thread.join()
    made.server_close()


def fetch(server: Server, folder: Path) -> Path:
    return download(server.url, folder, otherwise="bring a copy", console=Console(file=io.StringIO()))


def refusal(server: Server, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        fetch(server, folder)
    line = str(error.value)
    assert "\n" not in line
    assert "bring a copy" in line
    assert not (folder / NAME).exists()
    return line


def test_a_file_arrives_whole_and_is_not_asked_for_again(server, tmp_path):
    folder = tmp_path / "cache" / "checkpoints"
    assert fetch(server, folder) == folder / NAME
    assert (folder / NAME).read_bytes() == CONTENT
    assert {path.name for path in folder.iterdir()} == {NAME, f".{NAME}.lock"}
    fetch(server, folder)
    assert server.asked == [""]


def test_a_copy_that_is_there_needs_no_network_and_no_right_to_write(server, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT)
    assert download(f"http://127.0.0.1:9/{NAME}", tmp_path, otherwise="") == tmp_path / NAME
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_another_file_under_the_name_is_refused_and_not_kept(server, tmp_path):
    server.content = CONTENT[::-1]
    line = refusal(server, tmp_path)
    found = hashlib.sha256(CONTENT[::-1]).hexdigest()[:8]
    assert f"not that file (its SHA-256 begins {found})" in line
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob(".*.partial"))


def test_half_a_file_is_told_kept_and_gone_on_from(server, tmp_path):
    server.breaks_after = [500_000, 0]
    line = refusal(server, tmp_path)
    assert "the connection broke, after 500,000 bytes, which are kept" in line
    assert (tmp_path / f".{NAME}.partial").read_bytes() == CONTENT[:500_000]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=500000-", "bytes=500000-"]
    assert not list(tmp_path.glob(".*.partial"))


def test_connections_that_break_are_taken_up_while_they_bring_anything(server, tmp_path):
    server.breaks_after = [300_000, 300_000, 300_000]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_a_server_that_cannot_go_on_begins_anew(server, tmp_path):
    server.ranges, server.breaks_after = False, [300_000]
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-"]


def test_the_beginning_of_another_file_is_thrown_away(server, tmp_path):
    (tmp_path / f".{NAME}.partial").write_bytes(b"old" * 100)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=300-", ""]


@pytest.mark.parametrize("more", [b"", b"too long"])
def test_a_download_that_was_killed_at_its_very_end_is_taken_up(server, tmp_path, more):
    (tmp_path / f".{NAME}.partial").write_bytes(CONTENT + more)
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == (2 if more else 1)


def test_a_copy_that_is_not_whole_is_replaced(server, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT[:1000])
    assert fetch(server, tmp_path).read_bytes() == CONTENT


def test_no_network_is_told_with_the_copy_that_is_not_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    closed = Server(CONTENT)
    closed.server_close()
    (tmp_path / NAME).write_bytes(CONTENT[:1000])
    with pytest.raises(UserError) as error:
        fetch(closed, tmp_path)
    line = str(error.value)
    assert line.startswith(f"{closed.url}: could not be downloaded (")
    assert "refused" in line
    assert f"bring a copy ({tmp_path / NAME} is there, but not whole)" in line


def test_a_file_that_the_server_does_not_have_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setattr(_Handler, "do_GET", lambda handler: handler.send_error(404))
    assert "could not be downloaded (404 Not Found)" in refusal(server, tmp_path)


def test_a_server_that_falls_silent_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    server.stalls = True
    assert "timed out" in refusal(server, tmp_path)


def test_a_place_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = refusal(server, tmp_path / "file")
    assert "cannot be written" in line
    assert "TORCH_HOME" in line


def test_a_full_disk_is_told(server, tmp_path):
    (tmp_path / f".{NAME}.partial").symlink_to("/dev/full")
    line = refusal(server, tmp_path)
    assert "No space left on device" in line
    assert "free space" in line


def test_a_terminal_shows_how_far_it_is(server, tmp_path):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    download(server.url, tmp_path, otherwise="", console=console)
    assert f"downloading {server.url} to {tmp_path / NAME}" in shown.getvalue()
    assert re.search(r"1\.0/1\.0 MB", shown.getvalue())


SCRIPT = """
import sys
from pathlib import Path
from prioritycut.downloads import download
print(download(sys.argv[1], Path(sys.argv[2]), otherwise="bring a copy"))
"""


def fetching(server: Server, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, server.url, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_downloads_and_the_other_waits(server, tmp_path):
    server.pause = 0.1
    both = [fetching(server, tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [out.strip() for out, _ in said] == [str(tmp_path / NAME)] * 2
    assert server.asked == [""]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_process_that_is_killed_leaves_nothing_under_the_name_and_no_lock(server, tmp_path):
    server.pause = 0.05
    process = fetching(server, tmp_path)
    partial = tmp_path / f".{NAME}.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / NAME).exists()
    server.pause = 0.0
    assert fetch(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[1].startswith("bytes=")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vgg19-dcbb9e9d.pth", "dcbb9e9d"),
        ("resnet-50-0676ba61b6795bbe.pth.tar", "0676ba61b6795bbe"),
        ("vgg19.pth", None),
        ("vgg-19.pth", None),
        ("net-facade.pth", None),
        ("net-DCBB9E9D.pth", None),
    ],
)
def test_the_end_of_a_name_begins_the_checksum(name, found):
    assert checksum_in_name(name) == found


def test_a_name_without_a_checksum_is_a_programmers_error(tmp_path):
    with pytest.raises(ValueError, match="must end with the beginning of its SHA-256"):
        download("http://127.0.0.1/net.pth", tmp_path, otherwise="")


def test_the_checksum_is_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert checksum(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


# VGG-19 by this way


CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512)


@pytest.fixture
def vgg_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """A file with torchvision's keys and shapes, named by its checksum, served where VGG-19 is downloaded from.

    Each array is one number, repeated, so that the file is small.
    """
    state = dict[str, torch.Tensor]()
    for number, index in enumerate(CONVOLUTIONS):
        shape = (WIDTHS[number + 1], WIDTHS[number], 3, 3)
        state[f"features.{index}.weight"] = torch.full((1,), number / 100).expand(shape)
        state[f"features.{index}.bias"] = torch.full((1,), -number / 100).expand(shape[0])
    for index, shape in ((0, (4096, 25088)), (3, (4096, 4096)), (6, (1000, 4096))):
        state[f"classifier.{index}.weight"] = torch.zeros(1).expand(shape)
        state[f"classifier.{index}.bias"] = torch.zeros(1).expand(shape[0])
    path = tmp_path / "made.pth"
    torch.save(state, path)
    path = path.rename(tmp_path / f"vgg19-{checksum(path)[:8]}.pth")
    server.content = path.read_bytes()
    monkeypatch.setattr(perceptual_module, "VGG19_URL", f"{server.url.rsplit('/', 1)[0]}/{path.name}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return path


def cached(vgg_file: Path) -> Path:
    """Where torch.hub looks for a file of this name."""
    return vgg_file.parent / "torch" / "hub" / "checkpoints" / vgg_file.name


def one_line(error: pytest.ExceptionInfo[UserError], *parts: str) -> None:
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


def test_imagenets_weights_come_into_torchs_cache_and_are_used_from_there(vgg_file, server):
    for _ in range(2):
        vgg = load_vgg19(PerceptualConfig())
        assert vgg.features["28"].weight.unique().item() == pytest.approx(0.12)
        assert vgg.features["28"].bias.unique().item() == pytest.approx(-0.12)
    assert len(server.asked) == 1
    assert cached(vgg_file).read_bytes() == vgg_file.read_bytes()
    loaded = torch.hub.load_state_dict_from_url(perceptual_module.VGG19_URL, check_hash=True, weights_only=True)
    assert len(loaded) == 38
    assert len(server.asked) == 1


def test_a_copy_that_torch_has_is_used(vgg_file, server):
    cached(vgg_file).parent.mkdir(parents=True)
    vgg_file.rename(cached(vgg_file))
    load_vgg19(PerceptualConfig())
    assert server.asked == []


def test_wrong_weights_from_the_net_offer_two_ways_out(vgg_file, server):
    server.content = b"<html>please log in</html>"
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig())
    one_line(error, "not that file", "--perceptual.weights FILE", "--perceptual.weights random")
    assert not cached(vgg_file).exists()


def test_half_of_the_weights_from_the_net_offers_two_ways_out(vgg_file, server):
    server.breaks_after = [2000, 0]
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig())
    one_line(error, "the connection broke, after 2,000 bytes", "--perceptual.weights FILE")
    assert not cached(vgg_file).exists()


def test_without_network_there_are_two_ways_out(vgg_file, monkeypatch):
    monkeypatch.setattr(perceptual_module, "VGG19_URL", f"http://127.0.0.1:9/{vgg_file.name}")
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig())
    one_line(error, "could not be downloaded", "--perceptual.weights FILE", "--perceptual.weights random")


def test_a_users_file_is_checked_by_its_name(vgg_file):
    load_vgg19(PerceptualConfig(weights=vgg_file))
    half = vgg_file.read_bytes()[: vgg_file.stat().st_size // 2]
    vgg_file.write_bytes(half)
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=vgg_file))
    one_line(error, str(vgg_file), "not whole, or changed", "copy it anew")
    unnamed = vgg_file.rename(vgg_file.with_name("vgg.pth"))
    with pytest.raises(UserError) as error:
        load_vgg19(PerceptualConfig(weights=unnamed))
    one_line(error, str(unnamed), "not readable as weights")


def test_the_published_file_is_the_one_that_is_asked_for():
    assert Path(perceptual_module.VGG19_URL).name == "vgg19-dcbb9e9d.pth"
