"""Whoever withdraws in one process is unknown in every other two seconds later."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from checkin.models import Attendance
from checkin.virtual_kiosk import looped, play
from recognition.models import FaceTemplate
from recognition.services import revoke_template, withdraw_consent
from roster.models import ClassSession, Student
from tests.support.kiosk_client import FPS
from tests.support.live_server import database_url, running_server
from tests.support.school import MODEL_ID

pytestmark = pytest.mark.django_db(transaction=True)

#: What the pages promise: longer than a gallery is trusted.
PROMISED_S = 2.0

#: Keeps one gallery, as a server does, and at each line says whom it holds.
ASKED_AGAIN_AND_AGAIN = """
import sys, django
django.setup()
from recognition.selectors import GalleryCache
from roster.models import ClassSession
cache, session = GalleryCache(), ClassSession.objects.get(pk=int(sys.argv[1]))
for line in sys.stdin:
    gallery = cache.gallery_for([session], model_id=sys.argv[2], dimensions=128)
    print(*gallery.ids, flush=True)
"""


@pytest.fixture
def other_process(math_session: ClassSession) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ASKED_AGAIN_AND_AGAIN, str(math_session.pk), MODEL_ID],
        cwd=settings.BASE_DIR,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "attendance_site.settings",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.communicate()


def known_to(process: subprocess.Popen[str]) -> list[int]:
    """The templates in its gallery."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("whom?\n")
    process.stdin.flush()
    return [int(pk) for pk in process.stdout.readline().split()]


@pytest.mark.parametrize("end", ["withdraw", "revoke"])
def test_another_process_forgets_a_face_within_two_seconds(
    other_process: subprocess.Popen[str],
    eileen: Student,
    eileens_template: FaceTemplate,
    end: str,
) -> None:
    assert known_to(other_process) == [eileens_template.pk]
    assert known_to(other_process) == [eileens_template.pk]  # and fresh in its cache
    if end == "withdraw":
        withdraw_consent(student=eileen)
    else:
        revoke_template(eileens_template)
    time.sleep(PROMISED_S)
    assert known_to(other_process) == []


async def verdict(url: str, token: str, clip: list[bytes]) -> dict[str, Any]:
    async for message in play(url=url, token=token, camera=looped(clip, fps=FPS), fps=FPS):
        if message["type"] == "verdict":
            return message
    raise AssertionError("the connection ended without a verdict")


def test_the_kiosk_of_another_server_does_not_recognise_who_has_withdrawn(
    token: str,
    math_session: ClassSession,
    eileen: Student,
    eileens_template: FaceTemplate,
    blinking_astronaut: list[bytes],
) -> None:
    def at_the_door() -> dict[str, Any]:
        return asyncio.run(
            asyncio.wait_for(verdict(server.kiosk_socket_url, token, blinking_astronaut), 60)
        )

    with running_server(RECOGNITION_WORKERS="1") as server:
        assert (at_the_door()["outcome"], at_the_door()["outcome"]) == ("present", "already")
        withdraw_consent(student=eileen)
        refused = at_the_door()
    assert refused["outcome"] == "unknown"
    assert not refused["name"]
    assert Attendance.objects.count() == 1
