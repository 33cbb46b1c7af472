"""Passes before the kiosk's camera: from frames to rows, with the real engine."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async as in_database
from django.utils import timezone

from checkin import consumers
from checkin.admission import MAX_FRAMES_PER_S
from checkin.alerts.models import Alert
from checkin.models import Attendance, CheckinAttempt
from checkin.passes.models import PassUse
from checkin.passes.services import rotating_payload
from recognition.engine.gallery import unit_length
from roster.models import EntryPolicy
from tests.support.cards import a_pass_of, frame_with, unknown_pass
from tests.support.face_samples import an_embedding
from tests.support.kiosk_client import KioskClient, Person, Scene, nobody_there
from tests.support.school import a_session, a_student, a_template, an_attendance, enrol_in

BRISK = {
    "steady_ms": 100,
    "wait_min_ms": 100,
    "wait_max_ms": 200,
    "show_ms": 200,
    "leave_ms": 150,
    "code_gone_ms": 350,
}

pytestmark = pytest.mark.django_db(transaction=True)

#: With `brisk`, longer than a code must have gone before it counts as a new one.
GONE_FRAMES = 12


@pytest.fixture
def brisk(dialogue_policy):
    """Short waits and verdicts, and a code that has gone for a third of a second has gone."""
    dialogue_policy(**BRISK)


@pytest.fixture
def strict(math_session):
    """Wants face and pass."""
    math_session.own_entry_policy = EntryPolicy.FACE_AND_PASS
    math_session.save()
    return math_session


def holding(*codes: str) -> Scene:
    """One code after the other, each for as many frames as it takes to be read."""
    frames = [frame_with(code) for code in codes]

    def scene(phase: str, number: int) -> bytes:
        return frames[min(number // 4, len(frames) - 1)]

    return scene


def face_then(person: Person, *codes: str) -> Scene:
    """Blinks when asked, and holds the codes up when a pass is asked for."""
    pass_held_up = holding(*codes) if codes else person.looks

    def scene(phase: str, number: int) -> bytes:
        if phase == "pass":
            return pass_held_up(phase, number)
        return person.blinks_when_asked(phase, number)

    return scene


async def rows(model, **fields) -> list:
    related = [field.name for field in model._meta.fields if field.many_to_one]
    found = model.objects.filter(**fields).select_related(*related).order_by("pk")
    return await in_database(list)(found)


def sentences(client: KioskClient) -> list[str]:
    """What was said to be wrong with a code, each once in a row."""
    said = [m["message"] for m in client.messages if m.get("hint") == "wrong_pass"]
    return [text for number, text in enumerate(said) if number == 0 or said[number - 1] != text]


# Face or pass


async def test_a_pass_held_up_with_nobody_in_view_is_present(
    brisk, math_session, eileen, kiosk, token
):
    code = await in_database(a_pass_of)(eileen)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(holding(code))
        sessions = await client.until("sessions")
    assert (verdict["outcome"], verdict["name"]) == ("present", "Eileen Collins")
    assert verdict["not_me_ms"] is None
    assert sessions["sessions"][0]["present"] == 1
    [row] = await rows(Attendance)
    assert (row.student, row.method, row.kiosk) == (eileen, "pass", kiosk)


async def test_a_rotating_pass_is_present(brisk, math_session, eileen, token):
    code = rotating_payload(student=eileen, session=math_session, at=timezone.now())
    async with KioskClient(token) as client:
        assert (await client.verdict_on(holding(code)))["outcome"] == "present"


async def test_a_pass_that_stays_before_the_camera_is_not_read_again(
    brisk, math_session, eileen, token
):
    code = await in_database(a_pass_of)(eileen)
    async with KioskClient(token) as client:
        await client.verdict_on(holding(code))
        assert await client.watch(holding(code), frames=GONE_FRAMES) is None
        assert sentences(client) == []
    assert len(await rows(CheckinAttempt)) == 1


async def test_a_used_pass_is_refused_with_the_reason(brisk, math_session, eileen, token):
    code = await in_database(a_pass_of)(eileen)
    async with KioskClient(token) as client:
        await client.verdict_on(holding(code))
        await client.watch(nobody_there, frames=GONE_FRAMES)
        assert await client.watch(holding(code), frames=8) is None
        assert sentences(client) == ["This pass was used already"]
    attempts = await rows(CheckinAttempt)
    assert [(one.outcome, one.reason) for one in attempts] == [
        ("present", ""),
        ("second_factor", "used"),
    ]


async def test_who_was_recorded_by_face_and_shows_a_pass_keeps_it(
    brisk, math_session, eileen, token
):
    def recorded() -> str:
        an_attendance(math_session, eileen)
        return a_pass_of(eileen)

    code = await in_database(recorded)()
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(holding(code))
    assert (verdict["outcome"], verdict["name"]) == ("already", "Eileen Collins")
    assert await rows(PassUse) == []


async def test_a_code_of_something_else_is_a_hint_and_no_attempt(brisk, math_session, token):
    async with KioskClient(token) as client:
        poster = holding("HTTPS://EXAMPLE.EDU/PARTY")
        assert await client.watch(poster, frames=8) is None
        assert sentences(client) == ["This is no Rollcall pass"]
        said = [m["seq"] for m in client.messages if m.get("hint") == "wrong_pass"]
        await client.watch(nobody_there, frames=GONE_FRAMES)
        await client.watch(poster, frames=8)
        again = [m["seq"] for m in client.messages if m.get("hint") == "wrong_pass"]
        assert again[-1] < said[0] + consumers.WRONG_CODE_S * MAX_FRAMES_PER_S + 2
    assert await rows(CheckinAttempt) == []


async def test_an_old_pass_and_one_of_another_class_are_told_apart(
    brisk, math_session, eileen, dmitri, token
):
    def made() -> list[str]:
        long_ago = timezone.now() - timedelta(days=30)
        return [a_pass_of(eileen, at=long_ago), a_pass_of(dmitri), unknown_pass()]

    codes = await in_database(made)()
    async with KioskClient(token) as client:
        assert await client.watch(holding(*codes), frames=14) is None
        assert sentences(client) == [
            "This pass is too old",
            "You are not in this class",
            "This pass is not known here",
        ]
    attempts = await rows(CheckinAttempt)
    assert [one.reason for one in attempts] == ["expired", "not_in_class", "unknown"]
    assert {one.student for one in attempts} == {None}


async def test_five_wrong_passes_are_denied_and_the_lecturers_hear_of_it(
    brisk, math_session, token
):
    codes = [unknown_pass() for _ in range(5)]
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(holding(*codes))
    assert (verdict["outcome"], verdict["name"]) == ("denied", None)
    [alert] = await rows(Alert)
    assert (alert.kind, alert.session, alert.student) == ("denied", math_session, None)
    assert [one.outcome for one in await rows(CheckinAttempt)] == [*["second_factor"] * 4, "denied"]


async def test_a_wrong_pass_that_is_shown_again_and_again_counts_once(brisk, math_session, token):
    code = unknown_pass()
    async with KioskClient(token) as client:
        for _ in range(3):
            assert await client.watch(holding(code), frames=8) is None
            await client.watch(nobody_there, frames=GONE_FRAMES)
    assert len(await rows(CheckinAttempt)) == 1


async def test_an_unknown_face_is_told_to_show_a_pass(
    brisk, math_session, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["message"]) == (
        "unknown",
        "Show your pass, or ask your lecturer.",
    )


async def test_where_a_face_is_needed_nobody_is_told_to_show_a_pass(
    brisk, math_session, token, eileen, eileen_at_the_door
):
    def face_only() -> str:
        math_session.own_entry_policy = EntryPolicy.FACE
        math_session.save()
        return a_pass_of(eileen)

    code = await in_database(face_only)()
    async with KioskClient(token) as client:
        assert await client.watch(holding(code), frames=8) is None
        assert sentences(client) == []
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert verdict["message"] == "Try again, or ask your lecturer."
    assert await rows(Attendance) == []


# Face and pass


async def test_face_and_pass_together_are_present(
    brisk, strict, eileen, eileens_template, token, eileen_at_the_door
):
    code = await in_database(a_pass_of)(eileen)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(face_then(eileen_at_the_door, code))
    assert (verdict["outcome"], verdict["name"]) == ("present", "Eileen Collins")
    [row] = await rows(Attendance)
    assert (row.student, row.method) == (eileen, "face_pass")
    asked = [m for m in client.messages if m.get("phase") == "pass"]
    assert (asked[0]["hint"], asked[0]["message"]) == ("show_pass", "Show your pass")
    before = client.messages[: client.messages.index(verdict)]
    assert "Eileen" not in str(before)
    progress = [m["progress"] for m in client.messages if m["type"] == "state"]
    assert progress == sorted(progress)


async def test_a_pass_without_the_face_opens_nothing_there(brisk, strict, eileen, token):
    code = await in_database(a_pass_of)(eileen)
    async with KioskClient(token) as client:
        assert await client.watch(holding(code), frames=10) is None
        assert sentences(client) == []
    assert await rows(CheckinAttempt) == await rows(PassUse) == []


async def test_another_students_pass_and_a_used_one_are_refused_with_the_reason(
    brisk, strict, math, eileen, eileens_template, token, eileen_at_the_door
):
    def made() -> list[str]:
        used = a_pass_of(eileen)
        eileen.entry_passes.update(used_at=timezone.now())
        return [used, a_pass_of(a_student("S-3", "Amara Okafor", math)), a_pass_of(eileen)]

    codes = await in_database(made)()
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(face_then(eileen_at_the_door, *codes))
    assert verdict["outcome"] == "present"
    assert sentences(client) == ["This pass was used already", "This is another person's pass"]
    attempts = await rows(CheckinAttempt)
    assert [(one.outcome, one.reason) for one in attempts] == [
        ("second_factor", "used"),
        ("second_factor", "other_student"),
        ("present", ""),
    ]
    assert {one.student for one in attempts} == {eileen}


async def test_five_wrong_passes_in_two_visits_are_denied_and_then_at_once(
    brisk, strict, eileen, eileens_template, token, eileen_at_the_door
):
    first, second = ([unknown_pass() for _ in range(count)] for count in (2, 3))
    async with KioskClient(token) as client:
        assert await client.watch(face_then(eileen_at_the_door, *first), frames=80) is None
        assert sentences(client) == ["This pass is not known here"]
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(face_then(eileen_at_the_door, *second))
        assert (verdict["outcome"], verdict["name"]) == ("denied", None)
        await client.watch(nobody_there, frames=GONE_FRAMES)
        right = await in_database(a_pass_of)(eileen)
        again = await client.verdict_on(face_then(eileen_at_the_door, right))
        assert (again["outcome"], again["name"]) == ("denied", None)
        assert "Eileen" not in str(client.messages)
    attempts = await rows(CheckinAttempt)
    assert [(one.outcome, one.reason) for one in attempts] == [
        *[("second_factor", "unknown")] * 4,
        ("denied", "wrong_passes"),
        ("denied", "still_denied"),
    ]
    [alert] = await rows(Alert)
    assert (alert.kind, alert.session, alert.student) == ("denied", strict, eileen)
    assert alert.sealed_picture
    assert await rows(Attendance) == []


async def test_who_shows_no_pass_in_time_is_told_so_without_a_name(
    dialogue_policy, strict, eileens_template, eileen, token, eileen_at_the_door
):
    dialogue_policy(**BRISK, pass_ms=800)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(face_then(eileen_at_the_door))
    assert (verdict["outcome"], verdict["name"]) == ("second_factor", None)
    assert (verdict["title"], verdict["tone"]) == ("No pass seen", "notice")
    [attempt] = await rows(CheckinAttempt)
    assert (attempt.outcome, attempt.reason) == ("second_factor", "no_pass")
    assert (attempt.student, attempt.session) == (eileen, strict)


async def test_who_is_recorded_already_is_not_named_by_the_face_alone(
    brisk, strict, eileens_template, eileen, token, eileen_at_the_door
):
    await in_database(an_attendance)(strict, eileen)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (verdict["outcome"], verdict["name"], verdict["time"]) == ("already", None, None)


async def test_the_session_of_the_student_decides_whether_a_pass_is_asked_for(
    brisk, strict, chem, room_101, dmitri, astronaut_embedding, token, eileen, eileen_at_the_door
):
    """Both are open at this kiosk; this face belongs to the class that needs no pass."""

    def of_chem() -> str:
        a_template(dmitri, astronaut_embedding)
        a_session(chem, room=room_101)
        enrol_in(chem, eileen)
        return a_pass_of(eileen)

    code = await in_database(of_chem)()
    async with KioskClient(token) as client:
        by_face = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        await client.watch(nobody_there, frames=GONE_FRAMES)
        by_pass = await client.verdict_on(holding(code))
    assert [(v["outcome"], v["message"]) for v in (by_face, by_pass)] == [
        ("present", "Organic Chemistry")
    ] * 2


# Not me


async def test_not_me_undoes_the_last_verdict_and_the_face_is_not_taken_again(
    brisk, math_session, eileen, astronaut_embedding, token, eileen_at_the_door
):
    """The template is of somebody who looks much like the person at the door."""
    other = an_embedding(7)
    alike = astronaut_embedding + 0.22 * (
        other - (other @ astronaut_embedding) * astronaut_embedding
    )
    await in_database(a_template)(eileen, unit_length(alike))
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        assert verdict["not_me_ms"] == 10_000
        await client.send_text('{"type": "not_me"}')
        undone = await client.until("undone")
        assert (undone["title"], undone["message"]) == (
            "Undone",
            "Your lecturer will look into it.",
        )
        assert await rows(Attendance) == []
        await client.watch(nobody_there, frames=20)
        again = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (again["outcome"], again["name"]) == ("ambiguous", None)
    reasons = [attempt.reason for attempt in await rows(CheckinAttempt)]
    assert reasons == ["", "disowned"]


async def test_not_me_twice_or_too_late_is_refused_and_changes_nothing(
    brisk, monkeypatch, math_session, eileen, eileens_template, token, eileen_at_the_door
):
    monkeypatch.setattr(consumers, "NOT_ME_S", 0.3)
    async with KioskClient(token) as client:
        await client.send_text('{"type": "not_me"}')
        assert (await client.until("error"))["code"] == "not_undone"
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        assert verdict["outcome"] == "present"
        time.sleep(0.4)  # noqa: ASYNC251 -- nothing else is to happen meanwhile
        for _ in range(2):
            await client.send_text('{"type": "not_me"}')
            refusal = await client.until("error")
            assert (refusal["seq"], refusal["code"]) == (None, "not_undone")
            assert refusal["message"] == "Too late here. Talk to your lecturer."
    assert len(await rows(Attendance)) == 1


async def test_once_the_next_person_is_asked_to_blink_it_is_too_late_for_not_me(
    brisk, math_session, eileen, eileens_template, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        await client.verdict_on(eileen_at_the_door.blinks_when_asked)
        await client.watch(nobody_there, frames=20)
        while client.messages[-1].get("phase") != "challenge":
            await client.watch(eileen_at_the_door.looks, frames=1)
        await client.send_text('{"type": "not_me"}')
        assert (await client.until("error"))["code"] == "not_undone"
    assert len(await rows(Attendance)) == 1


async def test_what_cannot_be_told_to_others_does_not_disturb_the_kiosk(
    brisk, monkeypatch, math_session, token, eileen_at_the_door, caplog
):
    def broken(**_what):
        raise OSError("the disk is full")

    monkeypatch.setattr("checkin.kiosk.note_stranger", broken)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert verdict["outcome"] == "unknown"
    assert "nobody was told of attempt" in caplog.text


async def test_a_stranger_is_stored_also_where_the_line_is_cut_at_once(
    brisk, monkeypatch, math_session, token, eileen_at_the_door
):
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert verdict["outcome"] == "unknown"
    [alert] = await rows(Alert)
    assert (alert.kind, alert.session) == ("stranger", math_session)
    assert alert.sealed_picture
