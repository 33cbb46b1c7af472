"""A person steps before the kiosk: the whole way from frames to the row in the database."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from datetime import timedelta

import numpy as np
import pytest
from channels.db import database_sync_to_async as in_database
from django.apps import apps
from django.conf import settings
from django.utils import timezone

from checkin import consumers
from checkin.models import Attendance, CheckinAttempt
from checkin.virtual_kiosk import as_jpeg
from recognition.engine.thresholds import IdentificationThresholds
from recognition.models import Consent
from recognition.services import enrol_face, record_consent, withdraw_consent
from recognition.workers import active_model_id
from roster.models import CourseEnrolment
from tests.support import pictures
from tests.support.kiosk_client import FPS, KioskClient, nobody_there, played
from tests.support.school import a_session, a_template

pytestmark = pytest.mark.django_db(transaction=True)


async def only(model):
    """The only row, with what it points at."""
    related = [field.name for field in model._meta.fields if field.many_to_one]
    return await in_database(lambda: model.objects.select_related(*related).get())()


async def count(model) -> int:
    return await in_database(model.objects.count)()


async def test_a_person_who_blinks_is_present(
    math_session, eileen, kiosk, token, blinking_astronaut
):
    def enrol() -> None:
        record_consent(student=eileen, given_via=Consent.GivenVia.IN_PERSON)
        assert enrol_face(student=eileen, photos=[pictures.portrait()]).template

    await in_database(enrol)()
    before = timezone.now()
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(played(blinking_astronaut, fps=FPS))
        sessions = await client.until("sessions")

    row = await only(Attendance)
    assert (row.session, row.student, row.kiosk) == (math_session, eileen, kiosk)
    assert (row.status, row.method) == ("present", "face")
    assert before <= row.arrived_at <= timezone.now()
    assert (verdict["outcome"], verdict["tone"]) == ("present", "good")
    assert (verdict["title"], verdict["message"]) == ("Present", "Linear Algebra")
    assert (verdict["name"], verdict["time"]) == ("Eileen Collins", f"{row.arrived_at:%H:%M}")
    assert verdict["show_ms"] == 2500
    assert sessions["sessions"][0]["present"] == 1

    phases = [message["phase"] for message in client.messages if message["type"] == "state"]
    assert list(dict.fromkeys(phases)) == ["guiding", "waiting", "challenge", "matching"]
    progress = [message["progress"] for message in client.messages if message["type"] == "state"]
    assert progress == sorted(progress)


async def test_the_attempt_keeps_the_figures_and_the_liveness_trace(
    quick, math_session, eileen, eileens_template, kiosk, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    attempt = await only(CheckinAttempt)
    assert (attempt.outcome, attempt.kiosk, attempt.session) == ("present", kiosk, math_session)
    assert (attempt.student, attempt.template) == (eileen, eileens_template)
    assert (attempt.model_id, attempt.gallery_size) == (active_model_id(), 1)
    assert attempt.threshold == IdentificationThresholds().similarity_for(1)
    assert attempt.threshold <= attempt.similarity <= 1
    assert attempt.runner_up is None
    trace = attempt.liveness
    assert trace["challenge"] == "blink_once"
    assert trace["tries"] == 1
    assert trace["baseline_ear"] > 0.2
    assert trace["least_similarity"] > 0.9
    assert trace["actions"][0]["depth"] < 0.7
    assert trace["actions"][0]["reaction_ms"] >= 120


async def test_no_picture_is_kept_anywhere(
    quick, math_session, eileens_template, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        await client.verdict_on(eileen_at_the_door.blinks_when_asked)

    def stored() -> list[bytes]:
        values = [
            value
            for model in apps.get_models()
            for row in model._default_manager.values_list()
            for value in row
        ]
        return [
            bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
            for value in values
        ]

    values = await in_database(stored)()
    assert values
    assert not any(b"\xff\xd8\xff" in value for value in values)
    assert max(map(len, values)) < 2000
    media = settings.STORAGES["default"]["OPTIONS"]["location"]
    assert not [files for _folder, _folders, files in os.walk(media) if files]


async def test_who_comes_back_is_told_already_and_keeps_the_first_time(
    quick, math_session, eileens_template, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        first = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        row = await only(Attendance)
        assert await client.watch(nobody_there, frames=20) is None
        second = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (first["outcome"], second["outcome"]) == ("present", "already")
    assert (second["name"], second["time"]) == (first["name"], first["time"])
    assert (await only(Attendance)).arrived_at == row.arrived_at
    assert await count(CheckinAttempt) == 2


async def test_who_stays_after_the_verdict_is_asked_to_make_room(
    quick, math_session, eileens_template, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        assert await client.watch(eileen_at_the_door.looks, frames=20) is None
        assert client.messages[-1]["phase"] == "leaving"
        assert client.messages[-1]["hint"] == "next"


async def test_while_a_verdict_is_shown_frames_are_not_looked_at(
    dialogue_policy, math_session, eileens_template, token, eileen_at_the_door
):
    dialogue_policy(steady_ms=100, wait_min_ms=100, wait_max_ms=200, show_ms=60_000)
    async with KioskClient(token) as client:
        await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        answer = await client.answer_to(b"no picture at all")
    assert (answer["type"], answer["phase"]) == ("state", "verdict")


async def test_who_comes_late_is_late(
    quick, math, room_101, eileens_template, token, eileen_at_the_door
):
    started = timezone.now() - timedelta(minutes=11)
    await in_database(a_session)(math, room=room_101, starts_at=started)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["tone"]) == ("late", "notice")
    assert (await only(Attendance)).status == "late"


async def test_a_course_can_show_short_names(
    quick, math, math_session, eileens_template, token, eileen_at_the_door
):
    math.shown_name = "short"
    await in_database(math.save)()
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert verdict["name"] == "Eileen C."


async def test_somebody_of_another_class_is_unknown_and_not_named(
    quick, math_session, dmitri, astronaut_embedding, token, eileen_at_the_door
):
    await in_database(a_template)(dmitri, astronaut_embedding)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["tone"]) == ("unknown", "bad")
    assert (verdict["name"], verdict["time"]) == (None, None)
    assert "Dmitri" not in str(client.messages)
    attempt = await only(CheckinAttempt)
    assert (attempt.outcome, attempt.student, attempt.gallery_size) == ("unknown", None, 0)
    assert attempt.session == math_session
    assert await count(Attendance) == 0


async def test_two_students_with_one_face_are_too_close_to_call(
    quick,
    math,
    math_session,
    dmitri,
    eileens_template,
    astronaut_embedding,
    token,
    eileen_at_the_door,
):
    def twin() -> None:
        CourseEnrolment.objects.create(course=math, student=dmitri, joined_on="2020-01-01")
        a_template(dmitri, astronaut_embedding)

    await in_database(twin)()
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["name"]) == ("ambiguous", None)
    assert await count(Attendance) == 0


async def test_two_open_sessions_are_both_searched(
    quick, chem, room_101, math_session, eileens_template, token, eileen_at_the_door
):
    earlier = timezone.now() - timedelta(minutes=8)
    await in_database(a_session)(chem, room=room_101, starts_at=earlier)
    async with KioskClient(token) as client:
        assert len((await client.until("sessions"))["sessions"]) == 2
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["message"]) == ("present", "Linear Algebra")
    assert (await only(Attendance)).session == math_session


async def test_consent_withdrawn_a_moment_ago_counts(
    quick, math_session, eileen, eileens_template, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        assert (await client.verdict_on(eileen_at_the_door.blinks_when_asked))["name"]
        await in_database(withdraw_consent)(student=eileen)
        await client.watch(nobody_there, frames=20)
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["name"]) == ("unknown", None)


async def test_a_session_closed_in_the_middle_of_a_check_in_takes_nobody(
    quick, monkeypatch, math_session, eileens_template, token, eileen_at_the_door
):
    """The kiosk has not noticed yet: the service finds it when it writes."""
    monkeypatch.setattr(consumers, "RECHECK_S", 3600)

    def close() -> None:
        math_session.closed_at = timezone.now()
        math_session.save()

    async with KioskClient(token) as client:
        await client.until("sessions")
        await in_database(close)()
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        assert verdict["outcome"] == "session_closed"
        assert (await client.until("sessions"))["sessions"] == []
    assert await count(Attendance) == 0


async def test_a_dark_room_asks_for_light_and_goes_on_when_it_comes(
    quick, math_session, eileens_template, token, eileen_at_the_door
):
    dark = as_jpeg((eileen_at_the_door.picture * 0.12).astype(np.uint8))
    async with KioskClient(token) as client:
        assert await client.watch(lambda _phase, _number: dark, frames=10) is None
        assert client.messages[-1]["phase"] in ("guiding", "searching")
        assert "challenge" not in str(client.messages)
        assert (await client.verdict_on(eileen_at_the_door.blinks_when_asked))["name"]


async def test_two_people_are_asked_to_come_one_by_one(
    quick, math_session, eileens_template, token
):
    both = as_jpeg(np.hstack([pictures.astronaut()[:300, 80:380]] * 2))
    async with KioskClient(token) as client:
        assert await client.watch(lambda _phase, _number: both, frames=20) is None
        hints = {message.get("hint") for message in client.messages}
    assert "one_person" in hints
    assert await count(Attendance) == 0


def kill_the_workers() -> None:
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.parametrize("when", ["waiting", "challenge", "matching"])
async def test_the_death_of_the_workers_in_the_middle_of_a_check_in_is_survived(
    quick, math_session, eileens_template, token, eileen_at_the_door, when
):
    killed = False

    def scene(phase: str, number: int) -> bytes:
        nonlocal killed
        if phase == when and not killed:
            kill_the_workers()
            killed = True
        return eileen_at_the_door.blinks_when_asked(phase, number)

    async with KioskClient(token) as client:
        verdict = await client.verdict_on(scene)
    assert killed
    assert verdict["outcome"] == "present"
    assert set(client.errors) <= {"worker_lost"}
    assert await count(Attendance) == await count(CheckinAttempt) == 1


async def test_the_death_of_the_workers_while_nobody_is_there_is_survived(
    quick, math_session, eileens_template, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        await client.until("sessions")
        kill_the_workers()
        await asyncio.sleep(0.5)
        assert (await client.verdict_on(eileen_at_the_door.blinks_when_asked))["name"]
    assert set(client.errors) <= {"worker_lost"}
