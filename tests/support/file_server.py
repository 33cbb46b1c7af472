"""A real HTTP server of a few files, with ranges, that can be made to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """``files`` by their path. ``break_after`` bytes the connection ends, once. ``requests`` are
    the path and the range of each that came.
    """

    files: dict[str, bytes]
    break_after: int | None = None
    as_web_page: bool = False
    knows_ranges: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(server))
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _handler_of(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            server.requests.append((self.path, wanted))
            content = server.files.get(self.path.lstrip("/"))
            if content is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
            begin = self._begin(wanted, tag)
            if begin and begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            if begin:
                told = f"bytes {begin}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", told)
            page = "text/html" if server.as_web_page else "application/octet-stream"
            self.send_header("Content-Type", page)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            self._send(content[begin:])

        def _begin(self, wanted: str, tag: str) -> int:
            if not wanted or not server.knows_ranges or self.headers.get("If-Range") != tag:
                return 0
            return int(wanted.removeprefix("bytes=").rstrip("-"))

        def _send(self, content: bytes) -> None:
            if server.break_after is None:
                self.wfile.write(content)
                return
            self.wfile.write(content[: server.break_after])
            self.wfile.flush()
            server.break_after = None
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Tests are silent."""

    return Handler
