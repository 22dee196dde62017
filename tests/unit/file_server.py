"""A real HTTP server on this machine that serves files well or badly, as told."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer(ThreadingHTTPServer):
    """Serves `files` (path -> content) with byte ranges; each entry of `faults` spoils one request for a file.

    Faults, taken in order, one per request for a path that ends in `spoilt`:
        an int n: send n bytes, then cut the connection.
        "ignore-range": send the whole file whatever was asked for.
        "wrong-place": answer a range request from another offset.
        "endless": send more bytes than the file has, without announcing a length.
        "announce-more", "announce-less": a Content-Length that is off by ten.
        "other": another content of the same length.
        "stall": send half, set `stalled`, and stay silent until `release` is set.
        "404", "503", "416": that status.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes], password: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.password = password
        self.faults: list[int | str] = []
        self.spoilt = ""
        self.ranges: list[str | None] = []  # of the requests for spoilt files
        self.stalled, self.release = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of these tests hang up at any time."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        wanted = self.headers.get("Authorization", "")
        if self.server.password is not None:
            expected = base64.b64encode(f"user:{self.server.password}".encode()).decode()
            if wanted != f"Basic {expected}":
                self._status(401, {"WWW-Authenticate": 'Basic realm="test"'})
                return
        content = self.server.files.get(self.path)
        if content is None:
            self._status(404)
            return
        fault: int | str | None = None
        if self.path.endswith(self.server.spoilt):
            self.server.ranges.append(self.headers.get("Range"))
            fault = self.server.faults.pop(0) if self.server.faults else None
        with suppress(ConnectionError):
            self._serve(content, fault)

    def _serve(self, content: bytes, fault: int | str | None) -> None:
        if fault in ("404", "503", "416"):
            self._status(int(fault))
            return
        if fault == "other":
            content = bytes(len(content))
        total, start = len(content), 0
        asked = self.headers.get("Range")
        if asked and fault != "ignore-range":
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        if fault == "wrong-place":
            start += 1
        body = content[start:]
        self.send_response(206 if asked and fault != "ignore-range" else 200)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        if asked and fault != "ignore-range":
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if fault == "endless":
            body += bytes(1 << 20)
        else:
            lie = {"announce-more": 10, "announce-less": -10}.get(str(fault), 0)
            self.send_header("Content-Length", str(len(body) + lie))
        self.end_headers()
        if isinstance(fault, int):
            body = body[:fault]
        if fault == "stall":
            self.wfile.write(body[: len(body) // 2])
            self.server.stalled.set()
            self.server.release.wait(60)
        else:
            self.wfile.write(body)
        self.close_connection = True

    def _status(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serving(files: dict[str, bytes], password: str | None = None) -> Iterator[FileServer]:
    """Run a server while the block runs."""
    with FileServer(files, password) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


@contextmanager
def package_index(project: str, filename: str, content: bytes, password: str | None = None) -> Iterator[FileServer]:
    """Run a package index that holds one wheel; faults spoil the wheel only."""
    page = f'<!DOCTYPE html><html><body><a href="/files/{filename}">{filename}</a></body></html>'
    files = {f"/simple/{project}/": page.encode(), f"/files/{filename}": content}
    with serving(files, password) as server:
        server.spoilt = filename
        yield server
