"""The server as it is deployed, in a process of its own, and what it uses of the machine."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

START_TIMEOUT_S = 120
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """Of the server with its workers: seconds of processor time, and memory in MiB."""

    cpu_s: float
    memory_mib: float


def set_up(folder: Path, database_url: str) -> None:
    """Before Django reads its settings, so that nothing of the installation's own is touched."""
    (folder / "static").mkdir()
    os.environ |= {
        "DATA_DIR": str(folder),
        "DATABASE_URL": database_url,
        # As it is deployed: with DEBUG, Django keeps every query in memory.
        "DEBUG": "False",
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TEMPLATE_KEYS": Fernet.generate_key().decode(),
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@contextmanager
def running_server() -> Iterator[tuple[int, int]]:
    """Its port and its process."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)),
            "attendance_site.asgi:application",
        ]
    )
    try:
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not _listening(port):
            if server.poll() is not None or time.monotonic() > give_up_s:
                raise SystemExit("The server did not start: see what it says above.")
            time.sleep(0.2)
        yield port, server.pid
    finally:
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def load_of(pid: int) -> Load:
    """Of a process and all below it; nothing where there is no /proc, as on macOS."""
    cpu_s = memory_mib = 0.0
    for process in _tree(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        cpu_s += (int(fields[11]) + int(fields[12])) / CLOCK_TICKS
        memory_mib += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Load(cpu_s, memory_mib)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended meanwhile
            found += [one for child in task.read_text().split() for one in _tree(int(child))]
    return found
