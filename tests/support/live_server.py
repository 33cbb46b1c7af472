"""Our own server in a process of its own, over the test database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

START_TIMEOUT_S = 60
END_TIMEOUT_S = 3
#: Where `tests.support.forgetful_site` is told to forget.
FORGET = "/forget-the-test-before"


@dataclass(frozen=True)
class LiveServer:
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def kiosk_socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/kiosk/"


@contextmanager
def running_server(
    port: int = 0, *, application: str = "attendance_site.asgi", **environment: str
) -> Iterator[LiveServer]:
    """Daphne, on a free port unless one is given; it sees the rows of a transactional test."""
    port = port or free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)),
            f"{application}:application",
        ],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DEBUG": "True",
            "DATABASE_URL": database_url(),
            "RECOGNITION_WORKERS": "1",  # starts sooner, and nobody here needs two
            **environment,
        },
    )
    try:
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not _listening(port):
            assert process.poll() is None, "the server ended while starting"
            assert time.monotonic() < give_up_s, "the server did not start"
            time.sleep(0.1)
        yield LiveServer(port, process.pid)
    finally:
        _end(process)


def database_url() -> str:
    """Of the test database, for a process of its own."""
    to = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{to['NAME']}"
    password = f":{to['PASSWORD']}" if to["PASSWORD"] else ""
    return f"postgres://{to['USER']}{password}@{to['HOST']}:{to['PORT'] or 5432}/{to['NAME']}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # A request that was under way waits for the loop that has ended (asgiref), for ever.
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
