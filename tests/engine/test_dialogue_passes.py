"""The check-in's conversation where passes are shown, frame by frame."""

from __future__ import annotations

from itertools import islice

import pytest

from recognition.engine.dialogue import Hint, PassEnd, Phase, Step
from recognition.engine.types import Problem
from tests.engine.test_dialogue import (
    ALICE,
    BOB,
    FRAME_MS,
    POLICY,
    Kiosk,
    at,
    decided,
    flickering_eyes,
)
from tests.support.face_samples import a_face

FRAMES_OF_A_PASS = 30


@pytest.fixture
def kiosk() -> Kiosk:
    return Kiosk()


@pytest.fixture
def door(kiosk: Kiosk) -> Kiosk:
    """A pass alone opens it."""
    kiosk.dialogue.takes_passes = True
    return kiosk


@pytest.fixture
def asked(kiosk: Kiosk) -> Kiosk:
    """Alice was recognised and is asked for her pass."""
    kiosk.until(at(Phase.CHALLENGE))
    kiosk.show(a_face())
    kiosk.blink()
    kiosk.until(decided)
    kiosk.dialogue.ask_for_pass(kiosk.at_ms)
    return kiosk


def codes(steps: list[Step]) -> list[str]:
    return [step.code for step in steps if step.code is not None]


# A pass alone


def test_without_passes_no_frame_is_searched_for_one(kiosk: Kiosk) -> None:
    for _ in range(10):
        assert not kiosk.dialogue.request().read_code
        kiosk.show(a_face())


def test_beside_faces_one_frame_in_three_is_searched_for_a_code(door: Kiosk) -> None:
    searched = 0
    for _ in range(12):
        searched += door.dialogue.request().read_code
        door.show(a_face())

    assert searched == 4


def test_a_pass_is_told_with_nobody_in_view(door: Kiosk) -> None:
    steps = [door.show(None, code="A") for _ in range(3)]

    assert codes(steps) == ["A"]
    assert steps[0].phase is Phase.SEARCHING


def test_a_pass_is_told_beside_a_face_in_every_phase(door: Kiosk) -> None:
    for number, phase in enumerate((Phase.GUIDING, Phase.WAITING, Phase.CHALLENGE)):
        door.until(at(phase))
        assert codes([door.show(a_face(), code=f"{number}") for _ in range(3)]) == [f"{number}"]


def test_a_code_that_is_held_up_still_is_told_once(door: Kiosk) -> None:
    steps = [door.show(None, code="A") for _ in range(FRAMES_OF_A_PASS)]

    assert codes(steps) == ["A"]


def test_a_code_that_some_frames_miss_is_still_the_same(door: Kiosk) -> None:
    steps = [
        door.show(None, code="A" if number % 12 < 6 else None)
        for number in range(2 * FRAMES_OF_A_PASS)
    ]

    assert codes(steps) == ["A"]


def test_a_code_that_comes_again_is_told_again(door: Kiosk) -> None:
    first = [door.show(None, code="A") for _ in range(3)]
    gone = [door.show(None) for _ in range(int(POLICY.code_gone_ms / FRAME_MS) + 3)]
    again = [door.show(None, code="A") for _ in range(3)]

    assert codes(first + gone + again) == ["A", "A"]


def test_two_codes_in_turn_are_told_once_each(door: Kiosk) -> None:
    steps = [door.show(None, code="AB"[number // 3 % 2]) for number in range(FRAMES_OF_A_PASS)]

    assert codes(steps) == ["A", "B"]


def test_a_pass_held_up_through_the_verdict_is_not_told_again(door: Kiosk) -> None:
    while not door.show(None, code="A").code:
        pass
    door.dialogue.conclude(door.at_ms)
    assert door.dialogue.phase is Phase.VERDICT
    door.at_ms += POLICY.show_ms
    after = [door.show(None, code="A") for _ in range(FRAMES_OF_A_PASS)]

    assert codes(after) == []
    assert codes([door.show(None, code="B") for _ in range(3)]) == ["B"]


def test_the_next_pass_is_told_while_the_last_person_is_leaving(door: Kiosk) -> None:
    while not door.show(a_face(), code="A").code:
        pass
    door.dialogue.conclude(door.at_ms)
    door.at_ms += POLICY.show_ms
    steps = [door.show(a_face(), code="B") for _ in range(3)]

    assert steps[0].phase is Phase.LEAVING
    assert codes(steps) == ["B"]


# Face and pass


def test_who_is_recognised_is_asked_for_the_pass(asked: Kiosk) -> None:
    step = asked.show(a_face())

    assert (step.phase, step.hint) == (Phase.PASS, Hint.SHOW_PASS)
    assert step.progress == 0.9


def test_asking_for_a_pass_answers_the_frame_at_once(asked: Kiosk) -> None:
    step = asked.dialogue.ask_for_pass(asked.at_ms)

    assert (step.phase, step.hint, step.probe) == (Phase.PASS, Hint.SHOW_PASS, None)


def test_every_frame_is_searched_for_the_pass(asked: Kiosk) -> None:
    for _ in range(6):
        assert asked.dialogue.request().read_code
        asked.show(a_face())


def test_the_pass_may_hide_the_face(asked: Kiosk) -> None:
    for _ in range(FRAMES_OF_A_PASS):
        assert asked.show(None).phase is Phase.PASS
    step = asked.show(None, code="A")

    assert (step.phase, step.code) == (Phase.PASS, "A")


def test_a_wrong_pass_leaves_time_for_another_one(asked: Kiosk) -> None:
    steps = [asked.show(None, code=code) for code in "AAABBBCCC"]

    assert codes(steps) == ["A", "B", "C"]
    assert {step.phase for step in steps} == {Phase.PASS}


def test_a_pass_that_was_held_up_too_early_need_not_be_taken_down(door: Kiosk) -> None:
    door.until(at(Phase.CHALLENGE))
    door.show(a_face(), code="A")
    door.show(a_face(), code="A")
    door.blink()
    door.until(decided)
    door.dialogue.ask_for_pass(door.at_ms)

    assert door.show(None, code="A").code == "A"


def test_who_shows_no_pass_is_waited_for_and_then_given_up(asked: Kiosk) -> None:
    began_ms = asked.at_ms
    step = asked.until(lambda step: step.ended is not None, frames=iter([a_face()] * 400))

    assert step.ended is PassEnd.TIMEOUT
    assert asked.at_ms - began_ms == pytest.approx(POLICY.pass_ms, abs=2 * FRAME_MS)


def test_another_face_ends_the_waiting_and_is_served_itself(asked: Kiosk) -> None:
    steps = []
    while not (steps and steps[-1].ended):
        steps.append(asked.show(a_face(), person=BOB))

    assert steps[-1].ended is PassEnd.OTHER_FACE
    assert steps[-1].phase is Phase.GUIDING
    assert len(steps) <= 2 * POLICY.other_face_frames
    asked.until(at(Phase.CHALLENGE))


def test_who_comes_while_a_pass_is_awaited_has_all_the_time_to_take_off_glasses(
    kiosk: Kiosk,
) -> None:
    kiosk.until(lambda step: step.hint is Hint.GLASSES, flickering_eyes())
    kiosk.until(at(Phase.CHALLENGE))
    kiosk.show(a_face())
    kiosk.blink()
    kiosk.until(decided)
    kiosk.dialogue.ask_for_pass(kiosk.at_ms)
    for _ in range(int(POLICY.glasses_max_ms / FRAME_MS)):
        kiosk.show(a_face())
    steps = [kiosk.show(eyes, person=BOB) for eyes in islice(flickering_eyes(), 40)]

    assert PassEnd.OTHER_FACE in {step.ended for step in steps}
    assert Hint.GLASSES in {step.hint for step in steps}


def test_a_single_frame_that_looks_different_ends_nothing(asked: Kiosk) -> None:
    for person in (BOB, BOB, ALICE, ALICE, BOB, BOB, ALICE, ALICE):
        assert asked.show(a_face(), person=person).phase is Phase.PASS


def test_a_face_that_is_half_hidden_is_not_taken_for_somebody_else(asked: Kiosk) -> None:
    hidden = a_face(problems=(Problem.BLURRED,))
    for _ in range(FRAMES_OF_A_PASS):
        assert asked.show(hidden, person=BOB).phase is Phase.PASS


def test_after_the_pass_the_verdict_and_the_next_person(asked: Kiosk) -> None:
    asked.show(None, code="A")
    asked.dialogue.conclude(asked.at_ms)
    asked.at_ms += POLICY.show_ms
    for _ in range(6):
        asked.show(None, code="A")

    assert asked.dialogue.phase is Phase.SEARCHING
    assert asked.show(a_face(), person=BOB).phase is Phase.GUIDING
