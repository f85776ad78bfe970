"""Downloads from a site on this machine: one file and nothing beside, or why not in the words of who said so."""

from __future__ import annotations

import json
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing import downloading
from prioritycut.preprocessing.downloading import Failed, download, meaning, require_downloads
from video_site import Page, VideoSite, video_site

VIDEO = bytes(range(256)) * 4096  # nobody looks inside
HTML = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>Gone.</body></html>"
FEED = b'<?xml version="1.0"?><rss version="2.0"><channel><item><link>http://127.0.0.1:9/</link></item></channel></rss>'


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "PAUSES", (0.0, 0.0))


def fetch(site: VideoSite, workdir: Path, *, cookies: Path | None = None) -> Path | Failed:
    return download(f"{site.address}/v.mp4", workdir, shorter_side=720, cookies=cookies)


def test_a_video_comes_whole_and_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".config" / "yt-dlp").mkdir(parents=True)
    (home / ".config" / "yt-dlp" / "config").write_text(f"--output {tmp_path}/elsewhere.mp4\n--write-info-json\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    with video_site({"/v.mp4": Page(VIDEO)}) as site:
        path = fetch(site, tmp_path / "100% ~ %(id)s $5")
    assert isinstance(path, Path)
    assert path.read_bytes() == VIDEO
    assert list((tmp_path / "100% ~ %(id)s $5").rglob("*")) == [path.parent, path]
    assert [member.name for member in home.rglob("*")] == [".config", "yt-dlp", "config"]
    assert list(tmp_path.glob("elsewhere*")) == []


def test_a_folder_whose_name_yt_dlp_takes_for_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be written by yt-dlp, which puts what \$HOME"):
        download("http://127.0.0.1:9/", tmp_path / "$HOME", shorter_side=720)


@pytest.mark.parametrize(
    ("page", "outcome", "reason"),
    [
        (Page(status=404), "removed", "Unable to download webpage: HTTP Error 404: Not Found"),
        (Page(status=410), "removed", "Unable to download webpage: HTTP Error 410: Gone"),
        (Page(status=403), "blocked", "Unable to download webpage: HTTP Error 403: Forbidden"),
        (Page(status=429), "blocked", "Unable to download webpage: HTTP Error 429: Too Many Requests"),
        (Page(status=500), "network", "Unable to download webpage: HTTP Error 500: Internal Server Error"),
        (Page(moved_to="/none.mp4"), "removed", "Unable to download webpage: HTTP Error 404: Not Found"),
        (Page(HTML, kind="text/html"), "removed", "a page without a video (Unsupported URL)"),
        (Page(FEED, kind="text/xml"), "removed", "it is no single video but a playlist"),
        (Page(b""), "network", "Did not get any data blocks"),
        (Page(VIDEO, breaks_after=500), "network", f"500 bytes read, {len(VIDEO) - 500} more expected"),
    ],
)
def test_each_fault_of_a_site_has_its_outcome_and_its_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], page: Page, outcome: str, reason: str
) -> None:
    with video_site({"/v.mp4": page}) as site:
        assert fetch(site, tmp_path) == Failed(outcome, reason)  # pyright: ignore[reportArgumentType]
    assert capfd.readouterr() == ("", "")


def test_only_a_fault_of_the_network_is_tried_again(tmp_path: Path) -> None:
    pages = {"/flaky.mp4": Page(VIDEO, failures=2), "/down.mp4": Page(status=500), "/no.mp4": Page(status=403)}
    with video_site(pages) as site:
        for name in ("flaky", "down", "no"):
            download(f"{site.address}/{name}.mp4", tmp_path / name, shorter_side=720)
        assert len(site.asked_for("/down.mp4")) == 3
        assert len(site.asked_for("/no.mp4")) == 1
    assert (tmp_path / "flaky" / "download" / "video.mp4").read_bytes() == VIDEO


def test_a_download_goes_on_where_it_broke_as_long_as_more_of_it_comes(tmp_path: Path) -> None:
    with video_site({"/v.mp4": Page(VIDEO, breaks_after=len(VIDEO) // 6)}) as site:
        path = fetch(site, tmp_path)
        starts = [first for first in site.asked_for("/v.mp4") if first]
    assert isinstance(path, Path)
    assert path.read_bytes() == VIDEO
    assert starts == sorted(set(starts))
    assert len(starts) >= 5  # each from where the one before broke


def test_a_site_that_is_not_there_or_says_nothing_is_a_fault_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "TIMEOUT", 0.2)
    with silent_site() as (silent, refusing):
        for port, said in ((silent, "timed out"), (refusing, "Connection refused")):
            failed = download(f"http://127.0.0.1:{port}/v.mp4", tmp_path, shorter_side=720)
            assert isinstance(failed, Failed)
            assert failed.outcome == "network"
            assert said in failed.reason
            assert "caused by" not in failed.reason
            assert "0x" not in failed.reason


@contextmanager
def silent_site() -> Iterator[tuple[int, int]]:
    """The ports of a site that takes connections and never answers, and of none."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.socket() as none:
        none.bind(("127.0.0.1", 0))
        yield silent.getsockname()[1], none.getsockname()[1]


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("Private video. Sign in if you've been granted access to this video", "private"),
        ("Video unavailable. This video is private", "private"),
        ("Video unavailable", "removed"),
        ("Video unavailable. This video is no longer available because the YouTube account associated with this video "
         "has been terminated.", "removed"),
        ("Video unavailable. This video is no longer available due to a copyright claim by X", "removed"),
        ("This video has been removed by the uploader", "removed"),
        ("This live stream recording is not available.", "removed"),
        ("Incomplete YouTube ID abc. URL http://a looks truncated.", "removed"),
        ("Sign in to confirm you\u2019re not a bot", "blocked"),
        ("Sign in to confirm your age. This video may be inappropriate for some users", "blocked"),
        ("Join this channel to get access to members-only content like this video", "blocked"),
        ("Video unavailable. This video contains content from X, who has blocked it in your country on copyright "
         "grounds", "blocked"),
        ("This content isn't available, try again later. The current session has been rate-limited", "blocked"),
        ("Requested format is not available", "blocked"),
        ("unable to download video data: HTTP Error 403: Forbidden", "blocked"),
        ("nobody has ever said this", "blocked"),
    ],
)  # fmt: skip
def test_the_words_of_sites_are_understood_and_kept(said: str, outcome: str) -> None:
    failed = meaning(f"ERROR: [youtube] 12345678901: {said}")
    assert (failed.outcome, failed.reason) == (outcome, said)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("\x1b[0;31mERROR:\x1b[0m [youtube] abc: Video unavailable", "Video unavailable"),
        ("ERROR: [youtube:truncated_id] a-b_c: Video\n  unavailable", "Video unavailable"),
        ("ERROR: [youtube] abc: Sign in. Use --cookies-from-browser or --cookies. See  http://a for how", "Sign in"),
        ("ERROR: [youtube] abc: No formats. Use --list-formats for a list of available formats", "No formats"),
        ("ERROR: [youtube] abc: Not in your country\nYou might want to use a VPN or a proxy", "Not in your country"),
        ("ERROR: [youtube] abc: Broken; please report this issue on  http://a , filling out the form", "Broken"),
        ("ERROR: [generic] private: HTTP Error 404: Gone (caused by <HTTPError 404>)", "HTTP Error 404: Gone"),
        ("ERROR: \r[download] Got error: 5 bytes read, 9 more expected. Giving up after 0 retries",
         "5 bytes read, 9 more expected"),
        ("ERROR: Odd (request id: 0a-1b) at <Thing object at 0x7f00>", "Odd at <Thing>"),
        ("ERROR: " + "so long " * 100, ("so long " * 100)[:300] + "..."),
    ],
)  # fmt: skip
def test_what_differs_from_video_to_video_or_is_advice_for_another_command_is_left_out(
    message: str, reason: str
) -> None:
    failed = meaning(message)
    assert failed.reason == reason
    assert failed.outcome != "private"  # a video of that name is not


def test_cookies_reach_the_site_and_their_file_stays_as_it_was(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tsecret\n")
    before = cookies.read_bytes()
    require_downloads(cookies)
    with video_site({"/v.mp4": Page(VIDEO, sets_cookie="other=1")}) as site:
        path = fetch(site, tmp_path / "work", cookies=cookies)
        assert isinstance(path, Path)
        assert {sent for _, _, sent in site.requests} >= {"session=secret"}
        assert cookies.read_bytes() == before
        assert path.read_bytes() == VIDEO
        cookies.unlink()
        gone = fetch(site, tmp_path / "later", cookies=cookies)
    assert gone == Failed("blocked", "the cookies cannot be read (No such file or directory)")


def test_cookies_that_are_none_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: no such file; export a browser's"):
        require_downloads(tmp_path / "none.txt")
    for content in (json.dumps([{"name": "session"}]).encode(), b"\x00\xff\xfe"):
        (tmp_path / "cookies.txt").write_bytes(content)
        with pytest.raises(UserError, match=r"cookies\.txt: it is no cookies\.txt in Netscape's format"):
            require_downloads(tmp_path / "cookies.txt")


def test_without_yt_dlp_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    for start in (lambda: require_downloads(None), lambda: download("http://127.0.0.1:9/", tmp_path, shorter_side=720)):
        with pytest.raises(UserError, match=r"pip install 'prioritycut\[preprocess\]'"):
            start()


def test_a_disk_that_takes_no_more_ends_the_run(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with video_site({"/v.mp4": Page(VIDEO)}) as site:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(UserError, match=r"^disk full while writing .*/download/video; free space"):
                fetch(site, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_of_several_versions_the_one_nearest_to_the_list_is_taken_without_sound(tmp_path: Path) -> None:
    """A manifest with pictures in four sizes and sound beside, as the large sites have it."""

    def version(name: str, facts: str) -> str:
        url = f"<BaseURL>{site.address}/{name}.mp4</BaseURL>"
        return f'<AdaptationSet><Representation id="{name}" {facts}>{url}</Representation></AdaptationSet>'

    with video_site({}) as site:
        versions = [
            version(f"{height}", f'mimeType="video/mp4" codecs="avc1" width="{height * 2}" height="{height}"')
            for height in (240, 352, 720, 1080)
        ]
        sound = version("sound", 'mimeType="audio/mp4" codecs="mp4a.40.2"')
        manifest = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            f'mediaPresentationDuration="PT5S"><Period>{"".join(versions)}{sound}</Period></MPD>'
        )
        site.pages["/v.mpd"] = Page(manifest.encode(), kind="application/dash+xml")
        for height in (240, 352, 720, 1080):
            site.pages[f"/{height}.mp4"] = Page(str(height).encode() * 1000)
        for shorter_side, taken in ((720, "720"), (696, "720"), (350, "352"), (1080, "1080"), (2160, "1080")):
            path = download(f"{site.address}/v.mpd", tmp_path / str(shorter_side), shorter_side=shorter_side)
            assert isinstance(path, Path), path
            assert path.read_text() == taken * 1000
        assert site.asked_for("/sound.mp4") == []
