"""How kiosks are: measured on their connection, written seldom, told in a word."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from channels.db import database_sync_to_async as in_database
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checkin import consumers
from checkin.kiosks.health import (
    CAMERA_ADVICE,
    CAMERA_PROBLEMS,
    ICONS,
    NOTED_EVERY,
    SILENT_AFTER,
    Device,
    HealthMeter,
    Reading,
    Standing,
    device_in,
    note,
    standing_of,
)
from checkin.metrics import FRAME_AGE_S, FRAMES
from checkin.models import Kiosk
from checkin.services import revoke_kiosk, roll_kiosk_token
from checkin.virtual_kiosk import as_jpeg
from roster.models import ClassSession
from tests.support.kiosk_client import KioskClient

GREY = as_jpeg(np.full((480, 640, 3), 128, np.uint8))
KIOSKS = reverse("admin:checkin_kiosk_changelist")


# Measured


def test_pauses_do_not_count_as_slowness() -> None:
    """Ten frames a second, then a verdict is shown for three seconds, then ten a second again."""
    meter = HealthMeter()
    for start_s in (0.0, 4.0):
        for number in range(11):
            meter.answered(age_s=0.03, now_s=start_s + number / 10)
    reading = meter.reading()
    assert reading.frames_per_s == pytest.approx(10.0)
    assert reading.frame_age_ms == 30
    assert meter.reading() == Reading()


def test_light_is_a_mean_that_one_face_does_not_turn() -> None:
    meter = HealthMeter()
    for _frame in range(50):
        meter.saw_face(120.0)
    meter.saw_face(20.0)
    assert meter.reading().brightness == pytest.approx(110.0)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {"type": "device"},
        {"type": "device", "camera": "ready", "version": "1", "more": 1},
        {"type": "device", "camera": "Eileen", "version": "1"},
        {"type": "device", "camera": ["ready"], "version": "1"},
        {"type": "device", "camera": "ready", "version": 1},
        {"type": "device", "camera": "ready", "version": "x" * 33},
        {"type": "device", "camera": "ready", "version": "<script>"},
        {"type": "device", "camera": "ready", "version": "Ä"},
    ],
)
def test_what_a_device_says_is_of_closed_sets(message: Any) -> None:
    assert device_in(message) is None


def test_a_device_says_its_camera_and_its_version() -> None:
    said = {"type": "device", "camera": "denied", "version": "0.1.0"}
    assert device_in(said) == Device(camera="denied", version="0.1.0")


# Written


def test_a_row_is_written_once_in_half_a_minute(kiosk: Kiosk) -> None:
    now = timezone.now()
    assert note(kiosk.pk, Reading(frames_per_s=9.0), now)
    assert not note(kiosk.pk, Reading(frames_per_s=1.0), now + NOTED_EVERY * 0.99)
    kiosk.refresh_from_db()
    assert kiosk.frames_per_s == 9.0
    assert note(kiosk.pk, Reading(frames_per_s=2.0), now + NOTED_EVERY)


def test_an_error_stays_with_its_time_until_the_next(kiosk: Kiosk) -> None:
    now = timezone.now()
    note(kiosk.pk, Reading(error="worker_lost"), now)
    note(kiosk.pk, Reading(), now + NOTED_EVERY)
    kiosk.refresh_from_db()
    assert (kiosk.last_error, kiosk.last_error_at) == ("worker_lost", now)


@pytest.mark.django_db(transaction=True)
async def test_a_connection_writes_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, math_session: ClassSession, kiosk: Kiosk, token: str
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.05)
    monkeypatch.setattr(consumers, "NOTED_EVERY", timedelta(0))
    monkeypatch.setattr("checkin.kiosks.health.NOTED_EVERY", timedelta(0))
    answered = FRAMES.labels("answered")._value.get()
    ages = FRAME_AGE_S._sum.get()
    async with KioskClient(token) as client:
        await client.until("sessions")
        await client.send_text('{"type": "device", "camera": "ready", "version": "0.0.9"}')
        for _frame in range(3):
            await client.answer_to(GREY)
        await client.answer_to(b"no picture at all")
        give_up_s = time.monotonic() + 60
        while time.monotonic() < give_up_s:
            await client.answer_to(GREY)
            seen = await in_database(Kiosk.objects.get)(pk=kiosk.pk)
            if seen.frames_per_s and seen.last_error:
                break
    assert (seen.camera, seen.app_version) == ("ready", "0.0.9")
    assert seen.frame_age_ms is not None
    assert seen.last_error == "not_an_image" or seen.last_error
    assert FRAMES.labels("answered")._value.get() >= answered + 4
    assert FRAME_AGE_S._sum.get() > ages


@pytest.mark.django_db(transaction=True)
async def test_a_roll_leaves_the_running_connection_alone(
    monkeypatch: pytest.MonkeyPatch, math_session: ClassSession, kiosk: Kiosk, token: str
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_S", 0.05)
    async with KioskClient(token) as client:
        await client.until("sessions")
        new = await in_database(roll_kiosk_token)(kiosk, timezone.now())
        for _frame in range(3):
            assert (await client.answer_to(GREY))["type"] == "state"
        async with KioskClient(new) as other:
            assert (await other.receive())["type"] == "welcome"
        # When its time is over, the old one ends.
        await in_database(Kiosk.objects.filter(pk=kiosk.pk).update)(old_token_until=timezone.now())
    async with KioskClient(token) as client:
        assert await client.closing() == ("kiosk_unknown", 4401)


# Told

NOW = timezone.now()
ONLINE = {"token_hash": "x", "last_seen_at": NOW}


@pytest.mark.parametrize(
    ("fields", "standing"),
    [
        ({}, Standing.UNPAIRED),
        ({"token_hash": "x"}, Standing.NEVER),
        (ONLINE, Standing.ONLINE),
        ({**ONLINE, "last_seen_at": NOW - SILENT_AFTER}, Standing.SILENT),
        ({**ONLINE, "revoked_at": NOW}, Standing.REVOKED),
        ({**ONLINE, "camera": "denied"}, Standing.CAMERA),
        ({**ONLINE, "camera": "starting"}, Standing.ONLINE),
        ({**ONLINE, "brightness": 30.0}, Standing.DARK),
        ({**ONLINE, "brightness": 230.0}, Standing.BRIGHT),
        ({**ONLINE, "brightness": 120.0, "frames_per_s": 9.0}, Standing.ONLINE),
        ({**ONLINE, "frames_per_s": 2.0}, Standing.SLOW),
    ],
)
def test_a_kiosk_is_told_in_a_word(fields: dict[str, Any], standing: Standing) -> None:
    assert standing_of(Kiosk(**fields), at=NOW) is standing


def test_every_state_has_an_icon_and_every_problem_an_advice() -> None:
    assert set(ICONS) == set(Standing)
    assert set(CAMERA_ADVICE) == CAMERA_PROBLEMS


def test_the_list_says_how_each_kiosk_is(as_admin: Client, kiosk: Kiosk, token: str) -> None:
    Kiosk.objects.create(name="Spare", room=kiosk.room)
    note(
        kiosk.pk,
        Reading(frames_per_s=8.25, brightness=51.0, device=Device("ready", "0.0.1")),
        timezone.now(),
    )
    page = as_admin.get(KIOSKS).text
    assert "Online" in page
    assert "Not paired yet" in page
    assert "8.2" in page
    assert "20 %" in page
    assert "0.0.1: reload its page" in page
    assert "style=" not in page


def test_the_form_says_what_is_wrong_with_the_camera(
    as_admin: Client, kiosk: Kiosk, token: str
) -> None:
    note(kiosk.pk, Reading(error="worker_lost", device=Device("denied", "1")), timezone.now())
    page = as_admin.get(reverse("admin:checkin_kiosk_change", args=[kiosk.pk])).text
    assert "allow it for this site" in page
    assert "worker_lost" in page


def test_the_dashboard_tells_of_kiosks_that_see_nothing(
    as_admin: Client, kiosk: Kiosk, token: str, math_session: ClassSession
) -> None:
    note(kiosk.pk, Reading(device=Device("denied", "1")), timezone.now())
    page = as_admin.get(reverse("admin:index")).text
    assert "Online, no camera" in page
    assert "The browser does not allow the camera" in page


def test_the_dashboard_tells_of_silent_kiosks_of_open_sessions_only(
    as_admin: Client, kiosk: Kiosk, token: str, math_session: ClassSession
) -> None:
    note(kiosk.pk, Reading(), timezone.now() - timedelta(minutes=20))
    assert "has not been seen for 20" in as_admin.get(reverse("admin:index")).text.replace(
        "\xa0", " "
    )
    revoke_kiosk(kiosk)
    assert "has not been seen" not in as_admin.get(reverse("admin:index")).text
