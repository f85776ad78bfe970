"""A web server in a thread, for tests: with or without byte ranges, and as unreliable as asked."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class LocalServer(ThreadingHTTPServer):
    """Serves a folder on a free port of this machine.

    Attributes:
        folder: What it serves.
        ranges: Whether it gives the part that is asked for, rather than always the whole.
        failing: How many of the next requests it answers with status 503.
        requests: Every request so far: method, path, `Range` header or "".
        bytes_sent: Of all bodies.
    """

    daemon_threads = True

    def __init__(self, folder: Path, *, ranges: bool = True, failing: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.ranges, self.failing = folder, ranges, failing
        self.requests = list[tuple[str, str, str]]()
        self.bytes_sent = 0
        self.lock = threading.Lock()
        self._connections = list[socket.socket]()

    @property
    def address(self) -> str:
        """Of the folder, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, object]:
        connection, client = super().get_request()
        self._connections.append(connection)
        return connection, client

    def server_close(self) -> None:
        """Also end connections that clients keep for later."""
        super().server_close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves early is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms for its headers' receipt
    server: LocalServer

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        server, wanted = self.server, self.headers.get("Range", "")
        path = unquote(urlsplit(self.path).path).lstrip("/")
        with server.lock:
            server.requests.append((self.command, path, wanted))
            fails = server.failing > 0
            server.failing -= fails
        if fails:
            return self._send(503, b"")
        file = server.folder / path
        if not file.is_file():
            return self._send(404, b"not here")
        content = file.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        if not (server.ranges and asked):
            return self._send(200, content)
        first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
        if first > last:
            return self._send(416, b"")
        return self._send(206, content[first : last + 1], f"bytes {first}-{last}/{len(content)}")

    def _send(self, status: int, body: bytes, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command != "HEAD":
            with self.server.lock:
                self.server.bytes_sent += len(body)
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Tests read `requests` instead."""


@contextmanager
def serving(folder: Path, *, ranges: bool = True, failing: int = 0) -> Generator[LocalServer]:
    """A server of a folder, running until the context is left."""
    server = LocalServer(folder, ranges=ranges, failing=failing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
