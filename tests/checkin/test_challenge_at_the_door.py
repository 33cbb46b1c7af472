"""A course's proof of life at its kiosk and on the own device: what is asked, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from channels.db import database_sync_to_async as in_database
from django.utils import timezone

from checkin import consumers
from checkin.kiosk import OnceMore, verdict_on
from checkin.live.selectors import WHY
from checkin.liveness import level_for, outcome_of
from checkin.models import Attendance, CheckinAttempt, Outcome
from checkin.own_device.texts import hint_text, shown
from checkin.services import CheckinResult
from checkin.texts import HINT_TEXTS, REASON_TEXTS, REASON_TITLES
from checkin.virtual_kiosk import Performer, as_jpeg
from recognition.engine.dialogue import Hint, Phase, Step
from recognition.engine.liveness.actions import Level
from recognition.engine.liveness.findings import Refusal
from recognition.engine.synthesis import AnimatedPortrait, blink_closure
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Face
from roster.models import EntryPolicy, LivenessPolicy
from tests.support.kiosk_client import KioskClient
from tests.support.own_device_client import OwnDeviceClient
from tests.support.pictures import astronaut
from tests.support.school import (
    a_course,
    a_session,
    an_account_of,
    logged_in_cookie,
)

pytestmark = pytest.mark.django_db(transaction=True)

Camera = Callable[[float, dict[str, Any]], bytes]


@pytest.fixture
def performer(astronaut_face: Face) -> Performer:
    return Performer(astronaut(), landmarks=astronaut_face.landmarks)


@pytest.fixture
def blinks_only(astronaut_face: Face) -> Camera:
    """Somebody who lives but moves neither head nor mouth, whatever is asked."""
    animated = AnimatedPortrait(astronaut(), landmarks=astronaut_face.landmarks)

    def frame(time_s: float, answer: dict[str, Any]) -> bytes:
        return as_jpeg(
            animated.frame(
                time_s, closure=blink_closure(time_s % 1.2, blinks_at=(0.5,), blink_ms=250)
            )
        )

    return frame


@pytest.fixture
def asks_for_two(math: Any) -> None:
    math.liveness = LivenessPolicy.CHALLENGE
    math.own_device = True
    math.save()


async def verdict_before(client: KioskClient, camera: Camera, seconds: float = 90) -> Any:
    """The first verdict on what this camera shows, and the answers until then."""
    started_s, answer = time.monotonic(), {}
    answers = []
    while time.monotonic() - started_s < seconds:
        answer = await client.answer_to(camera(time.monotonic() - started_s, answer))
        answers.append(answer)
        if answer["type"] == "verdict":
            return answer, answers
    pytest.fail(f"no verdict; the last answer was {answer}")


async def test_who_does_what_the_kiosk_asks_for_is_present(
    asks_for_two, math_session, eileens_template, token, performer
):
    async with KioskClient(token) as client:
        verdict, answers = await verdict_before(client, performer)
    assert (verdict["outcome"], verdict["name"]) == ("present", "Eileen Collins")
    trace = (await in_database(CheckinAttempt.objects.get)()).liveness
    assert [deed["action"] for deed in trace["actions"]] == trace["challenge"].split()
    assert (trace["level"], len(trace["actions"])) == ("challenge", 2)
    asked = [one["asked"] for one in answers if one.get("asked")]
    assert {one["number"] for one in asked} == {1, 2}
    assert all(one["of"] == 2 and 0 <= one["share"] <= 1 for one in asked)


async def test_who_does_what_the_own_device_asks_for_is_present(
    asks_for_two, math_session, eileen, eileens_template, performer
):
    cookie = await in_database(lambda: logged_in_cookie(an_account_of(eileen)))()
    async with OwnDeviceClient(math_session, cookie) as client:
        verdict, _answers = await verdict_before(client, performer)
    assert verdict["outcome"] == "present"
    assert (await in_database(Attendance.objects.get)()).student_id == eileen.pk


async def test_who_lives_but_cannot_do_it_is_shown_another_way_and_nobody_is_alarmed(
    impatient, asks_for_two, math_session, eileens_template, token, blinks_only
):
    async with KioskClient(token) as client:
        verdict, answers = await verdict_before(client, blinks_only)
    assert (verdict["outcome"], verdict["tone"]) == ("second_factor", "notice")
    assert verdict["title"] == "Another way, please"
    assert verdict["message"] == "Show your pass, or ask your lecturer."
    attempt = await in_database(CheckinAttempt.objects.get)()
    assert (attempt.outcome, attempt.reason) == ("second_factor", "no_action")
    assert attempt.student is None
    assert 2 <= len(attempt.liveness["missed"]) <= 3
    assert "something_else" in {one.get("hint") for one in answers}


async def test_an_unsure_face_is_looked_at_once_more_and_then_decided(
    monkeypatch, quick, math_session, eileens_template, token, eileen_at_the_door
):
    asked: list[bool] = []

    def unsure(*arguments: Any, may_look_again: bool) -> Any:
        asked.append(may_look_again)
        if may_look_again:
            return OnceMore()
        return verdict_on(*arguments, may_look_again=may_look_again)

    monkeypatch.setattr(consumers, "verdict_on", unsure)
    async with KioskClient(token) as client:
        verdict = await client.verdict_on(eileen_at_the_door.blinks_when_asked)
    assert (asked, verdict["outcome"]) == ([True, False], "present")
    trace = (await in_database(CheckinAttempt.objects.get)()).liveness
    policy = DialoguePolicy()
    assert trace["frames"] > policy.frames_before + 2 * policy.frames_after


# The decision


@pytest.mark.parametrize("refusal", Refusal)
def test_only_who_could_not_do_it_or_was_too_slow_is_no_concern(
    kiosk, math_session, refusal
) -> None:
    step = Step(Phase.CHALLENGE, Hint.WAIT, 0.5, refusal=refusal)
    verdict = verdict_on(kiosk, [math_session], step, timezone.now())
    alarmed = refusal not in (Refusal.NO_ACTION, Refusal.TOO_SLOW)
    assert (verdict.concern is not None) is alarmed
    assert outcome_of(refusal) is (Outcome.SPOOF if alarmed else Outcome.SECOND_FACTOR)
    assert CheckinAttempt.objects.get().reason == refusal


def test_where_no_pass_opens_the_lecturer_helps(kiosk, math_session) -> None:
    math_session.own_entry_policy = EntryPolicy.FACE
    step = Step(Phase.CHALLENGE, Hint.WAIT, 0.5, refusal=Refusal.NO_ACTION)
    verdict = verdict_on(kiosk, [math_session], step, timezone.now())
    assert verdict.message == "Your lecturer can mark you."


def test_on_the_own_device_another_way_is_named_too() -> None:
    told = shown(CheckinResult(outcome=Outcome.SECOND_FACTOR, reason=Refusal.NO_ACTION))
    assert (told["title"], told["tone"]) == ("Another way, please", "notice")
    assert "ask your lecturer" in told["message"]


# What is asked


def test_of_several_open_sessions_the_strictest_counts(math_session, room_101) -> None:
    strict = a_session(a_course("BIO", liveness=LivenessPolicy.STRICT), room=room_101)
    assert level_for([math_session]) is Level.BLINK
    assert level_for([math_session, strict]) is Level.STRICT


async def test_a_kiosk_asks_for_what_its_strictest_session_wants(
    math_session, eileens_template, token, performer, room_101
):
    strict = await in_database(a_course)("BIO", liveness=LivenessPolicy.STRICT)
    await in_database(a_session)(strict, room=room_101)
    async with KioskClient(token) as client:
        _verdict, answers = await verdict_before(client, performer)
    assert {one["asked"]["of"] for one in answers if one.get("asked")} == {3}


def test_the_levels_of_courses_are_those_of_the_dialogue() -> None:
    assert {policy.value for policy in LivenessPolicy} == {level.value for level in Level}


# Words


@pytest.mark.parametrize("hint", Hint)
def test_every_hint_has_a_sentence_that_can_be_read_from_two_metres(hint) -> None:
    assert 1 <= len(str(HINT_TEXTS[hint]).split()) <= 8
    assert hint_text(hint)


@pytest.mark.parametrize("text", [*REASON_TITLES.values(), *REASON_TEXTS.values()])
def test_what_a_kiosk_says_of_a_reason_is_short_too(text) -> None:
    assert len(str(text).split()) <= 8


@pytest.mark.parametrize("refusal", Refusal)
def test_the_lecturer_reads_why_in_words(refusal) -> None:
    assert str(WHY[refusal]).endswith(".")
