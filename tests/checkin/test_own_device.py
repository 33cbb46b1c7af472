"""Check-in from the own device: who gets in, whose face counts, and every way to be refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from ipaddress import ip_address

import pytest
from channels.db import database_sync_to_async as in_database
from channels.layers import get_channel_layer
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checkin.alerts.models import Alert
from checkin.live.events import live_group
from checkin.models import Attendance, CheckinAttempt, Outcome
from checkin.own_device import consumer as own_device_consumer
from checkin.own_device.services import FAILED_WITHIN, MAX_FAILED, check_in, sessions_for
from recognition.engine.dialogue import CheckInDialogue, Hint, LiveProbe, Phase, Step
from recognition.engine.gallery import similarity, unit_length
from recognition.engine.thresholds import VERIFICATION_SIMILARITY, DialoguePolicy
from recognition.engine.types import FrameRequest
from recognition.mistakes import remember_mistake
from recognition.models import IdentificationSetting
from recognition.services import withdraw_consent
from recognition.workers import worker_pool
from roster.models import Course, CourseEnrolment
from tests.support.face_samples import an_embedding
from tests.support.kiosk_client import Person, SocketClosedError
from tests.support.own_device_client import OwnDeviceClient
from tests.support.school import (
    a_course,
    a_session,
    a_student,
    a_template,
    an_account,
    an_account_of,
    an_attempt,
    an_attendance,
    enrol_in,
    logged_in_cookie,
)
from tests.support.shared import LFW, needs_faces

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = DialoguePolicy(steady_ms=100, wait_min_ms=100, wait_max_ms=200, show_ms=200)


@pytest.fixture(autouse=True)
def quick_dialogue(monkeypatch):
    dialogue = partial(CheckInDialogue, policy=QUICK)
    monkeypatch.setattr(own_device_consumer, "CheckInDialogue", dialogue)


@pytest.fixture
def math(math):
    """Takes check-ins from the own device."""
    math.own_device = True
    math.save()
    return math


@pytest.fixture
def cookie(eileen):
    """Of Eileen, who is logged in."""
    return logged_in_cookie(an_account_of(eileen))


@pytest.fixture
def as_eileen(eileen):
    client = Client()
    client.force_login(an_account_of(eileen))
    return client


def changed(instance, **fields):
    for name, value in fields.items():
        setattr(instance, name, value)
    instance.save()


def refused_on_page(client, session):
    """The sentence and the page, which has no camera."""
    page = client.get(reverse("own_check_in", args=[session.pk]))
    assert "own-device-config" not in page.content.decode()
    return str(page.context["refusal"])


async def refused(session, cookie, **address):
    async with asyncio.timeout(20), OwnDeviceClient(session, cookie, **address) as client:
        return await client.closing()


# Whose face


async def test_the_right_person_is_present_and_the_connection_ends(
    math_session, eileen, eileens_template, cookie, eileen_at_the_door
):
    layer = get_channel_layer()
    await layer.group_add(live_group(math_session.pk), "a-live-page")
    async with asyncio.timeout(60), OwnDeviceClient(math_session, cookie) as client:
        welcome = await client.receive()
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        with pytest.raises(SocketClosedError) as closed:
            await client.receive()
        assert (await layer.receive("a-live-page"))["type"] == "live.changed"
    assert (welcome["type"], welcome["frame"]["max_bytes"]) == ("welcome", 400_000)
    assert (verdict["outcome"], verdict["tone"]) == ("present", "good")
    assert verdict["message"] == "Linear Algebra"
    assert closed.value.code == 1000
    row = await in_database(Attendance.objects.get)()
    assert (row.student_id, row.session_id) == (eileen.pk, math_session.pk)
    assert (row.status, row.method, row.kiosk_id) == ("present", "face", None)
    attempt = await in_database(CheckinAttempt.objects.get)()
    assert (attempt.outcome, attempt.kiosk_id, attempt.gallery_size) == ("present", None, 1)
    assert attempt.threshold == VERIFICATION_SIMILARITY <= attempt.similarity
    assert attempt.liveness["challenge"] == "blink_once"


@needs_faces
async def test_another_live_person_is_refused_and_may_try_again(
    math_session, eileen, eileens_template, cookie, eileen_at_the_door, another_person
):
    async with asyncio.timeout(90), OwnDeviceClient(math_session, cookie) as client:
        refusal = await client.verdict_on(another_person.blinks_when_asked)
        assert await in_database(Attendance.objects.count)() == 0
        assert await in_database(Alert.objects.count)() == 0
        await asyncio.sleep(QUICK.show_ms / 1000)
        # Nobody steps away: the next attempt begins with the next frame.
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (refusal["outcome"], refusal["tone"], refusal["time"]) == ("unknown", "bad", None)
    assert "Eileen" not in str(refusal)
    assert verdict["outcome"] == "present"
    failed = await in_database(CheckinAttempt.objects.get)(outcome="unknown")
    assert (failed.student_id, failed.kiosk_id) == (eileen.pk, None)
    assert failed.similarity < VERIFICATION_SIMILARITY


async def test_a_picture_held_still_is_no_live_face(
    math_session, eileens_template, cookie, eileen_at_the_door, monkeypatch
):
    hasty = DialoguePolicy(steady_ms=100, wait_min_ms=100, wait_max_ms=200, challenge_ms=500)
    monkeypatch.setattr(
        own_device_consumer, "CheckInDialogue", partial(CheckInDialogue, policy=hasty)
    )
    async with asyncio.timeout(60), OwnDeviceClient(math_session, cookie) as client:
        verdict = await client.verdict_on(eileen_at_the_door.photo)
    assert verdict["outcome"] == "spoof"
    attempt = await in_database(CheckinAttempt.objects.get)()
    assert (attempt.outcome, attempt.reason) == ("spoof", "repeated_frames")


OLD_MODEL, ADDRESS = "Facenet512", ip_address("10.1.2.3")


def checked_in_by(probe, eileen, session):
    return check_in(
        student=eileen,
        session_pk=session.pk,
        address=ADDRESS,
        step=Step(Phase.MATCHING, Hint.WAIT, 1.0, probe=probe),
        at=timezone.now(),
    )


def test_while_two_models_serve_a_template_of_the_old_one_is_compared_by_it(
    settings, math_session, eileen
):
    settings.RECOGNITION_PREVIOUS_MODEL = OLD_MODEL
    a_template(eileen, an_embedding(5), model_id=OLD_MODEL)
    IdentificationSetting.objects.create(
        model_id=OLD_MODEL,
        similarity_at_size=[[1, 0.6], [100, 0.7]],
        margin=0.01,
        band=0.02,
        target_fpir=0.001,
    )
    stranger = LiveProbe(an_embedding(5), {}, previous=an_embedding(6))
    assert checked_in_by(stranger, eileen, math_session).outcome is Outcome.UNKNOWN
    result = checked_in_by(LiveProbe(an_embedding(6), {}, an_embedding(5)), eileen, math_session)
    assert result.outcome is Outcome.PRESENT
    attempt = CheckinAttempt.objects.get(outcome="present")
    assert (attempt.model_id, attempt.threshold) == (OLD_MODEL, pytest.approx(0.65))


@pytest.mark.parametrize(
    ("previous", "reason"), [(an_embedding(5), "no_thresholds"), (None, "no_embedding")]
)
def test_a_model_of_which_nothing_is_known_recognises_nobody(
    settings, math_session, eileen, previous, reason
):
    settings.RECOGNITION_PREVIOUS_MODEL = OLD_MODEL
    a_template(eileen, an_embedding(5), model_id=OLD_MODEL)
    probe = LiveProbe(an_embedding(5), {}, previous=previous)
    assert checked_in_by(probe, eileen, math_session).outcome is Outcome.ERROR
    assert CheckinAttempt.objects.get().reason == reason


async def test_a_second_look_checks_out(
    math, math_session, eileen, eileens_template, cookie, eileen_at_the_door
):
    def an_hour_ago():
        begun = timezone.now() - timedelta(hours=1)
        changed(math_session, check_out=True, starts_at=begun, late_after_min=0)
        an_attendance(math_session, eileen, arrived_at=begun)

    await in_database(an_hour_ago)()
    async with asyncio.timeout(60), OwnDeviceClient(math_session, cookie) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert verdict["outcome"] == "checked_out"
    row = await in_database(Attendance.objects.get)()
    assert row.left_at is not None


async def test_a_face_that_was_said_not_to_be_theirs_is_refused(
    math_session, eileen, cookie, eileen_at_the_door, astronaut_embedding
):
    """The template is one that the face at the door matches, and is not quite."""
    alike = unit_length(astronaut_embedding + 0.2 * an_embedding(1))
    assert similarity(alike, astronaut_embedding) > VERIFICATION_SIMILARITY
    frame = eileen_at_the_door.looks("", 0)
    seen = worker_pool().analyse_frame(frame, FrameRequest(embed=True)).result().main_face

    def say_it_is_not_hers():
        template = a_template(eileen, alike)
        remember_mistake(template=template, embedding=seen.embedding, at=timezone.now())

    await in_database(say_it_is_not_hers)()
    async with asyncio.timeout(60), OwnDeviceClient(math_session, cookie) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert verdict["outcome"] == "unknown"
    attempt = await in_database(CheckinAttempt.objects.get)()
    assert attempt.reason == "mistaken"


@pytest.fixture(scope="session")
def another_person():
    """Alive, and not Eileen."""
    picture = sorted(LFW.glob("*/*_0001.jpg"))
    for path in picture:
        face = worker_pool().analyse_photo(path.read_bytes()).result().main_face
        if face is not None and face.quality.usable:
            return Person(_pixels(path), face.landmarks)
    raise AssertionError("no picture of LFW shows a usable face")


def _pixels(path):
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


# Who gets in


async def test_only_a_student_who_is_logged_in(math_session, eileens_template, cookie):
    assert await refused(math_session, "") == ("logged_out", 4401)
    lecturer = await in_database(lambda: logged_in_cookie(an_account("nobody")))()
    assert await refused(math_session, lecturer) == ("logged_out", 4401)


async def test_a_page_of_another_site_is_refused(math_session, eileens_template, cookie):
    evil = await refused(math_session, cookie, origin="http://evil.example")
    assert evil == ("origin_refused", 4403)


async def test_who_is_not_on_the_list_hears_the_same_as_of_no_session(
    chem_session, eileens_template, cookie, math_session
):
    await in_database(Course.objects.update)(own_device=True)
    assert await refused(chem_session, cookie) == ("not_yours", 4403)
    await in_database(chem_session.delete)()
    chem_session.pk = 10_000_000
    assert await refused(chem_session, cookie) == ("not_yours", 4403)


@pytest.mark.parametrize(
    ("obstacle", "word", "prepare"),
    [
        ("not_offered", "kiosk", lambda s, e: changed(s.course, own_device=False)),
        ("pass_needed", "pass", lambda s, e: changed(s, own_entry_policy="face_and_pass")),
        (
            "not_open_yet",
            "opens at",
            lambda s, e: changed(
                s,
                starts_at=timezone.now() + timedelta(hours=1),
                ends_at=timezone.now() + timedelta(hours=2),
            ),
        ),
        ("session_over", "over", lambda s, e: changed(s, closed_at=timezone.now())),
        ("network", "10.1.2.3", lambda s, e: changed(s.course, own_device_networks="10.9.0.0/16")),
        ("no_consent", "agreed", lambda s, e: withdraw_consent(student=e)),
        ("no_template", "register", lambda s, e: e.face_templates.update(revoked_at=s.starts_at)),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
async def test_each_obstacle_is_told_by_socket_and_page(
    math_session, eileen, eileens_template, cookie, obstacle, word, prepare
):
    await in_database(prepare)(math_session, eileen)
    async with asyncio.timeout(20), OwnDeviceClient(math_session, cookie) as client:
        assert await client.closing() == (obstacle, 4403)
    assert word in client.messages[-1]["message"].lower()

    def on_page():
        browser = Client(REMOTE_ADDR="10.1.2.3")
        browser.force_login(eileen.user)
        return refused_on_page(browser, math_session)

    assert await in_database(on_page)() == client.messages[-1]["message"]


async def test_after_many_failed_attempts_there_is_a_pause(
    math_session, eileen, eileens_template, cookie
):
    def fail(times, at):
        for _number in range(times):
            an_attempt(None, math_session, student=eileen, template=eileens_template, at=at)

    now = timezone.now()
    await in_database(fail)(MAX_FAILED - 1, now)
    # Those of long ago do not count.
    await in_database(fail)(3, now - FAILED_WITHIN - timedelta(seconds=1))
    async with asyncio.timeout(20), OwnDeviceClient(math_session, cookie) as client:
        assert (await client.receive())["type"] == "welcome"
    await in_database(fail)(1, now)
    assert await refused(math_session, cookie) == ("paused", 4403)


@needs_faces
async def test_the_last_failed_attempt_ends_in_the_pause(
    math_session, eileen, eileens_template, cookie, another_person
):
    def fail():
        for _number in range(MAX_FAILED - 1):
            an_attempt(None, math_session, student=eileen, template=eileens_template)

    await in_database(fail)()
    async with asyncio.timeout(60), OwnDeviceClient(math_session, cookie) as client:
        await client.verdict_on(another_person.blinks_when_asked)
        assert await client.closing() == ("paused", 4403)


# Networks


@pytest.mark.parametrize(
    ("address", "comes_in"),
    [
        ("10.1.255.1", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.0.9", True),
        ("2001:db8:0:1::7", True),
        ("2001:db9::1", False),
    ],
)
async def test_only_the_courses_networks_come_in(
    math, math_session, eileens_template, cookie, address, comes_in
):
    networks = "10.1.0.0/16\n2001:db8::/32"
    await in_database(changed)(math, own_device_networks=networks)
    async with asyncio.timeout(20), OwnDeviceClient(math_session, cookie, address=address) as page:
        first = await page.receive()
    assert (first["type"] == "welcome") is comes_in


@pytest.mark.parametrize(
    ("proxies", "forwarded", "comes_in"),
    [
        (0, "10.1.0.1", False),
        (1, "10.1.0.1", True),
        (1, "10.1.0.1, 203.0.113.9", False),
        (1, "203.0.113.9, 10.1.0.1", True),
        (1, "no address", False),
    ],
)
async def test_a_forwarded_address_counts_only_from_the_proxy(
    settings, math, math_session, eileens_template, cookie, proxies, forwarded, comes_in
):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    await in_database(changed)(math, own_device_networks="10.1.0.0/16")
    client = OwnDeviceClient(math_session, cookie, address="192.0.2.1", forwarded=forwarded)
    async with asyncio.timeout(20), client:
        first = await client.receive()
    assert (first["type"] == "welcome") is comes_in


# What changes meanwhile


@pytest.mark.parametrize(
    ("obstacle", "change"),
    [
        ("session_over", lambda s, e: changed(s, closed_at=timezone.now())),
        ("no_consent", lambda s, e: withdraw_consent(student=e)),
        ("not_yours", lambda s, e: CourseEnrolment.objects.all().delete()),
        ("logged_out", lambda s, e: changed(e.user, is_active=False)),
    ],
    ids=["closed", "withdrawn", "off the list", "account closed"],
)
async def test_an_open_connection_ends_when_its_right_does(
    math_session, eileen, eileens_template, cookie, obstacle, change, monkeypatch
):
    monkeypatch.setattr(own_device_consumer, "RECHECK_S", 0.1)
    async with asyncio.timeout(20), OwnDeviceClient(math_session, cookie) as client:
        assert (await client.receive())["type"] == "welcome"
        await in_database(change)(math_session, eileen)
        assert (await client.closing())[0] == obstacle


async def test_consent_withdrawn_during_the_blink_counts_at_the_decision(
    math_session, eileen, eileens_template, cookie, eileen_at_the_door, monkeypatch
):
    monkeypatch.setattr(own_device_consumer, "RECHECK_S", 60)
    async with asyncio.timeout(60), OwnDeviceClient(math_session, cookie) as client:
        assert (await client.receive())["type"] == "welcome"
        await in_database(withdraw_consent)(student=eileen)
        with pytest.raises(SocketClosedError):
            await client.watch(eileen_at_the_door.blinks_when_asked)
    assert client.outcomes == []
    assert client.messages[-1]["code"] == "no_consent"
    assert await in_database(Attendance.objects.count)() == 0


async def test_the_newer_of_two_connections_is_served(math_session, eileens_template, cookie):
    async with asyncio.timeout(20), OwnDeviceClient(math_session, cookie) as first:
        assert (await first.receive())["type"] == "welcome"
        async with OwnDeviceClient(math_session, cookie) as second:
            assert (await second.receive())["type"] == "welcome"
            assert await first.closing() == ("replaced", 4409)
            await second.send_text('{"type": "ping"}')
            assert await second.receive() == {"type": "pong"}


async def test_two_students_do_not_replace_each_other(
    math, math_session, eileens_template, cookie, astronaut_embedding
):
    def another():
        mae = a_student("S-9", "Mae Jemison", math, email="mae@example.edu")
        a_template(mae, astronaut_embedding)
        return logged_in_cookie(an_account_of(mae))

    other = await in_database(another)()
    async with asyncio.timeout(20), OwnDeviceClient(math_session, cookie) as first:
        assert (await first.receive())["type"] == "welcome"
        async with OwnDeviceClient(math_session, other) as second:
            assert (await second.receive())["type"] == "welcome"
            assert await first.says_nothing()


# The pages


def test_the_page_has_the_camera_when_all_is_well(math_session, eileens_template, as_eileen):
    page = as_eileen.get(reverse("own_check_in", args=[math_session.pk]))
    assert page.context["config"]["socket_path"] == f"/ws/check-in/{math_session.pk}/"
    assert "no-store" in page["Cache-Control"]


def test_a_session_of_others_is_not_found(chem_session, eileens_template, as_eileen):
    assert as_eileen.get(reverse("own_check_in", args=[chem_session.pk])).status_code == 404


def test_who_is_recorded_needs_no_camera(math_session, eileen, eileens_template, as_eileen):
    an_attendance(math_session, eileen)
    page = as_eileen.get(reverse("own_check_in", args=[math_session.pk])).content.decode()
    assert "Already recorded" in page
    assert "own-device-config" not in page


def test_before_the_shortest_stay_the_page_tells_when_to_check_out(
    math_session, eileen, eileens_template, as_eileen
):
    changed(math_session, check_out=True)
    an_attendance(math_session, eileen, arrived_at=timezone.now())
    page = as_eileen.get(reverse("own_check_in", args=[math_session.pk]))
    assert "You can check out here from" in page.content.decode()
    Attendance.objects.update(arrived_at=math_session.starts_at)
    page = as_eileen.get(reverse("own_check_in", args=[math_session.pk]))
    assert page.context["leaving"]


def test_only_sessions_that_take_the_own_device_are_offered(
    math, math_session, eileen, eileens_template, as_eileen
):
    silent = a_course("ART")
    both = a_course("BIO", own_device=True, entry_policy="face_and_pass")
    foreign = a_course("ZOO", own_device=True)
    for course in (silent, both):
        enrol_in(course, eileen)
    for course in (silent, both, foreign):
        a_session(course)
    a_session(math, starts_at=timezone.now() + timedelta(days=1))
    assert sessions_for(eileen, timezone.now()) == [math_session]
    page = as_eileen.get(reverse("own_check_ins")).content.decode()
    assert reverse("own_check_in", args=[math_session.pk]) in page
    assert "About BIO" not in page


def test_the_start_page_leads_to_an_open_session(math_session, eileens_template, as_eileen):
    assert reverse("own_check_in", args=[math_session.pk]) in as_eileen.get("/").content.decode()
    changed(math_session, closed_at=timezone.now())
    assert "/me/check-in/" not in as_eileen.get("/").content.decode()


def test_the_start_page_asks_nobody_who_is_recorded(
    math_session, eileen, eileens_template, as_eileen
):
    an_attendance(math_session, eileen)
    assert "/me/check-in/" not in as_eileen.get("/").content.decode()
    changed(math_session, check_out=True)
    assert "/me/check-in/" in as_eileen.get("/").content.decode()
