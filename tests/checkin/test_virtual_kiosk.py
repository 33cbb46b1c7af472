"""A real server in a process of its own, and clients that behave well and badly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from channels.db import database_sync_to_async as in_database
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from checkin.management.commands.virtual_kiosk import told
from checkin.models import Attendance
from checkin.passes.services import png_of
from checkin.services import revoke_kiosk
from checkin.virtual_kiosk import as_frame
from tests.support import pictures
from tests.support.cards import a_pass_of
from tests.support.live_server import LiveServer, free_port, running_server

pytestmark = pytest.mark.django_db(transaction=True)

FLOOD_FPS = 60
FLOOD_S = 5
#: Frames of this size bring far more through the server than it may keep.
PADDING = bytes(300_000)
MAX_GROWTH_MB = 40


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One for all tests of this file; it reads the rows that each of them makes."""
    with running_server(RECOGNITION_WORKERS="1") as server:
        yield server


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "portrait.jpg"
    path.write_bytes(pictures.portrait())
    return path


def open_socket(server: LiveServer, token: str) -> connect:
    headers = {"Authorization": f"Bearer {token}"}
    return connect(server.kiosk_socket_url, additional_headers=headers, max_size=None)


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 15))
        if message["type"] == kind:
            return message


def resident_mb(pid: int) -> float:
    """What `ps` calls RSS, in MB."""
    ps = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(ps.stdout) / 1024


# The client


def virtual_kiosk(server: LiveServer, token: str, portrait: Path, **options: Any) -> str:
    out = StringIO()
    call_command(
        "virtual_kiosk", portrait, token=token, url=server.kiosk_socket_url, stdout=out, **options
    )
    return out.getvalue()


def test_a_portrait_that_blinks_is_checked_in(
    server, kiosk, token, math_session, eileen, eileens_template, portrait
):
    out = virtual_kiosk(server, token, portrait)
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "sessions   MATH"
    assert "challenge  Blink once (50%)" in lines
    assert lines[-1].startswith("verdict    present: Eileen Collins at ")
    row = Attendance.objects.get()
    assert (row.student, row.session, row.kiosk) == (eileen, math_session, kiosk)


def test_a_portrait_that_shows_its_pass_is_checked_in_where_both_are_needed(
    server, token, math_session, eileen, eileens_template, portrait, tmp_path
):
    math_session.own_entry_policy = "face_and_pass"
    math_session.save()
    path = tmp_path / "pass.png"
    path.write_bytes(png_of(a_pass_of(eileen)))
    out = virtual_kiosk(server, token, portrait, card=path)
    assert "pass       Show your pass (90%)" in out
    assert "verdict    present: Eileen Collins at " in out
    assert Attendance.objects.get().method == "face_pass"


def test_a_token_that_is_refused_ends_with_the_reason(server, kiosk, token, portrait):
    revoke_kiosk(kiosk)
    with pytest.raises(CommandError, match=r"the connection to .* ended: .*4403"):
        virtual_kiosk(server, token, portrait)


def test_a_server_that_is_not_there_is_named(token, portrait):
    url = f"ws://127.0.0.1:{free_port()}/ws/kiosk/"
    with pytest.raises(CommandError, match=f"the connection to {url} ended"):
        call_command("virtual_kiosk", portrait, token=token, url=url, stdout=StringIO())


def test_without_a_session_it_gives_up_in_time(server, kiosk, token, portrait):
    with pytest.raises(CommandError, match=r"no verdict came within 0\.5 s"):
        virtual_kiosk(server, token, portrait, timeout=0.5)


@pytest.mark.parametrize("content", [b"rubbish", pictures.nobody()])
def test_a_portrait_without_a_face_is_refused(tmp_path, content):
    path = tmp_path / "portrait.jpg"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=str(path)):
        call_command("virtual_kiosk", path, token="x", stdout=StringIO())


def test_what_an_error_says_is_told():
    error = {"type": "error", "code": "not_a_jpeg", "message": "Send JPEG frames."}
    assert told(error) == "error      not_a_jpeg: Send JPEG frames."
    assert told({"type": "pong"}) == ""


# The server


async def test_a_client_that_floods_gets_no_queue_and_takes_nothing_from_others(
    server, token, math_session, astronaut_face
):
    frame = pictures.portrait() + PADDING
    states: list[dict[str, Any]] = []
    answered: list[int] = []

    async def flood(socket: ClientConnection) -> None:
        started_s = time.monotonic()
        for seq in range(FLOOD_FPS * FLOOD_S):
            await socket.send(as_frame(seq, frame))
            await asyncio.sleep(max(0.0, started_s + seq / FLOOD_FPS - time.monotonic()))

    async def listen(socket: ClientConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "state":
                states.append(message)

    async def visit() -> None:
        while True:
            with await asyncio.to_thread(urllib.request.urlopen, server.url, timeout=10) as page:
                answered.append(page.status)
            await asyncio.sleep(0.3)

    async with open_socket(server, token) as socket:
        await until(socket, "sessions")
        others = [asyncio.create_task(listen(socket)), asyncio.create_task(visit())]
        await socket.send(as_frame(0, frame))
        await asyncio.sleep(1)
        before_mb = resident_mb(server.pid)
        await flood(socket)
        growth_mb = resident_mb(server.pid) - before_mb
        await asyncio.sleep(1)
        for task in others:
            task.cancel()

    sent = FLOOD_FPS * FLOOD_S
    skipped = sum(state["skipped"] for state in states)
    assert skipped > sent / 2
    assert sent - 2 <= len(states) + skipped <= sent + 1
    assert states[-1]["seq"] == sent - 1
    assert max(state["age_ms"] for state in states) < 2000
    assert growth_mb < MAX_GROWTH_MB < sent * len(frame) / 1e6 / 2
    assert len(answered) >= 3
    assert set(answered) == {200}


async def test_a_message_of_ten_megabytes_ends_the_connection_and_the_next_one_works(
    server, token, math_session
):
    async with open_socket(server, token) as socket:
        await until(socket, "sessions")
        with contextlib.suppress(ConnectionClosed):
            await socket.send(as_frame(1, bytes(10_000_000)))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 15)

    async with open_socket(server, token) as socket:
        await until(socket, "sessions")
        await socket.send(as_frame(1, pictures.portrait()))
        assert (await until(socket, "state"))["seq"] == 1


async def test_a_frame_between_both_limits_is_told_its_size(server, token, math_session):
    async with open_socket(server, token) as socket:
        await until(socket, "sessions")
        await socket.send(as_frame(1, pictures.portrait() + bytes(500_000)))
        assert (await until(socket, "error"))["code"] == "frame_too_large"
        await socket.send(as_frame(2, pictures.portrait()))
        assert (await until(socket, "state"))["seq"] == 2


async def test_a_client_that_vanishes_leaves_the_server_well(server, token, math_session):
    for _ in range(5):
        async with open_socket(server, token) as socket:
            await until(socket, "sessions")
            for seq in range(5):
                await socket.send(as_frame(seq, pictures.portrait()))
            socket.transport.abort()
            with contextlib.suppress(ConnectionClosed):
                await socket.wait_closed()
    async with open_socket(server, token) as socket:
        await until(socket, "sessions")
        await socket.send(as_frame(1, pictures.portrait()))
        assert (await until(socket, "state"))["seq"] == 1


async def test_a_refusal_tells_its_code_before_it_closes(server, kiosk, token):
    await in_database(revoke_kiosk)(kiosk)
    async with open_socket(server, token) as socket:
        assert (await until(socket, "error"))["code"] == "kiosk_revoked"
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4403


# The demo


@pytest.fixture
def empty_site(tmp_path: Path) -> dict[str, str]:
    """The environment of a site without data, except for the converted model."""
    shutil.copytree(settings.MODEL_CACHE_DIR, tmp_path / "models")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL")
    }
    own = {"DEBUG": "True", "DATA_DIR": str(tmp_path), "RECOGNITION_WORKERS": "1"}
    return {**environment, **own}


def demo(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "demo", "--once", "--port", str(free_port())],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_demo_ends_with_a_row_the_first_time_and_the_second(empty_site):
    for number in (1, 7):  # before the second, the five others are absent from the first session
        done = demo(empty_site)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "verdict    present: Eileen Collins at " in done.stdout
        assert f"attendance {number}: S-1001 Eileen Collins, MATH-101, present by face" in (
            done.stdout
        )
        assert "Traceback" not in done.stderr
    secrets = Path(empty_site["DATA_DIR"], "demo.json")
    assert secrets.stat().st_mode & 0o077 == 0
