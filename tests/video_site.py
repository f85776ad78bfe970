"""A video site on this machine, which serves some videos well and fails at others as sites do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Page:
    """What a path gives.

    Attributes:
        content: All that there is.
        kind: As the header Content-Type has it.
        status: Of the answer; for other than 200 the content is the page that comes with it.
        breaks_after: Bytes after which the connection is cut, though all of them were promised.
        failures: How many requests are answered by 503 before the first that is served.
        moved_to: Where the answer sends the reader instead.
        sets_cookie: Such as "name=value".
    """

    content: bytes = b"an error page"
    kind: str = "video/mp4"
    status: int = 200
    breaks_after: int | None = None
    failures: int = 0
    moved_to: str | None = None
    sets_cookie: str | None = None


@dataclass
class VideoSite:
    """The running site: its address, its pages by path, and the requests so far as (path, first byte, cookies)."""

    address: str
    pages: dict[str, Page]
    requests: list[tuple[str, int, str]] = field(default_factory=list)

    def asked_for(self, path: str) -> list[int]:
        """The first bytes that were asked for."""
        return [first for asked, first, _ in self.requests if asked == path]


@contextmanager
def video_site(pages: Mapping[str, Page]) -> Generator[VideoSite]:
    """Serve pages by their paths, such as "/a.mp4", each from the byte on that is asked for; others are missing."""
    failed = Counter[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            site.requests.append((self.path, start, self.headers.get("Cookie", "")))
            page = site.pages.get(self.path, Page(status=404))
            if page.moved_to is not None:
                self.send_response(302)
                self.send_header("Location", page.moved_to)
                self.end_headers()
                return
            if failed[self.path] < page.failures:
                failed[self.path] += 1
                page = Page(status=503)
            if page.status != 200:
                start = 0
            self.send_response(206 if start else page.status)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
            self.send_header("Content-Type", page.kind if page.status == 200 else "text/html")
            self.send_header("Content-Length", str(len(page.content) - start))
            if page.sets_cookie is not None:
                self.send_header("Set-Cookie", page.sets_cookie)
            self.end_headers()
            end = None if page.breaks_after is None else start + page.breaks_after
            try:
                self.wfile.write(page.content[start:end])
            except OSError:
                return  # who only looks at a page's beginning leaves early
            if end is not None:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = VideoSite(f"http://127.0.0.1:{server.server_port}", dict(pages))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
