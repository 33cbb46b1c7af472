"""The check-in's conversation, frame by frame, without a camera or a clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from recognition.engine.dialogue import CheckInDialogue, Hint, Phase, Step
from recognition.engine.gallery import fuse
from recognition.engine.liveness.actions import Level
from recognition.engine.liveness.findings import Refusal
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Box, Face, FrameAnalysis, Problem
from tests.support.face_samples import BOX, a_face, an_analysis, an_embedding

POLICY = DialoguePolicy()
ALICE, BOB = 1, 2
FRAME_MS = 100


@dataclass
class Kiosk:
    """Plays frames to a dialogue as a worker would: embeddings only where they were asked for."""

    dialogue: CheckInDialogue = field(
        default_factory=lambda: CheckInDialogue(
            draw=lambda: 0.0, liveness=Level.BLINK, policy=POLICY
        )
    )
    at_ms: float = 0.0
    steps: list[Step] = field(default_factory=list)

    def show(
        self, face: Face | None, *others: Face, person: int = ALICE, code: str | None = None
    ) -> Step:
        self.at_ms += FRAME_MS
        request = self.dialogue.request()
        if face is not None and (request.embed or face.ear < request.embed_if_ear_below):
            embedding = an_embedding(person, noise=0.02, seed=int(self.at_ms))
            face = replace(face, embedding=embedding)
        faces = [face, *others] if face is not None else []
        read = code if request.read_code else None
        step = self.dialogue.step(replace(an_analysis(*faces), code=read), self.at_ms)
        self.steps.append(step)
        return step

    def until(self, reached: Callable[[Step], bool], frames: Iterator[Face] | None = None) -> Step:
        for _ in range(400):
            step = self.show(next(frames) if frames else a_face())
            if reached(step):
                return step
        pytest.fail(f"never reached; the last step was {self.steps[-1]}")

    def blink(self, person: int = ALICE) -> None:
        for ear in (0.08, 0.08, 0.3):
            self.show(a_face(ear=ear), person=person)


def at(phase: Phase) -> Callable[[Step], bool]:
    return lambda step: step.phase is phase


def decided(step: Step) -> bool:
    return step.probe is not None or step.refusal is not None


def flickering_eyes() -> Iterator[Face]:
    """As glasses make them whose rims are taken for lids."""
    draw = random.Random(1)
    while True:
        yield a_face(ear=draw.uniform(0.2, 0.36))


@pytest.fixture
def kiosk() -> Kiosk:
    return Kiosk()


@pytest.fixture
def challenged(kiosk: Kiosk) -> Kiosk:
    """Somebody stands there, was told to blink, and has had time to react."""
    kiosk.until(at(Phase.CHALLENGE))
    kiosk.show(a_face())
    return kiosk


def test_nobody_there_is_asked_to_look(kiosk: Kiosk) -> None:
    step = kiosk.show(None)

    assert (step.phase, step.hint, step.progress) == (Phase.SEARCHING, Hint.LOOK, 0)


def test_a_blink_on_demand_ends_in_a_live_probe(challenged: Kiosk) -> None:
    challenged.blink()
    step = challenged.until(decided)

    assert step.probe is not None
    assert step.probe.embedding @ an_embedding(ALICE) > 0.95
    assert step.probe.trace["actions"][0]["closed_ms"] == 100
    assert step.probe.trace["tries"] == 1


def test_the_probe_is_fused_from_frames_before_and_after_the_blink(challenged: Kiosk) -> None:
    challenged.blink()
    step = challenged.until(decided)

    assert step.probe is not None
    assert step.probe.trace["frames"] >= POLICY.frames_before + POLICY.frames_after + 1
    assert np.linalg.norm(step.probe.embedding) == pytest.approx(1)


def test_progress_never_falls_on_the_way(challenged: Kiosk) -> None:
    challenged.blink()
    challenged.until(decided)
    progress = [step.progress for step in challenged.steps]

    assert progress == sorted(progress)
    assert progress[-1] == 1


def test_a_still_face_is_asked_twice_and_then_refused(kiosk: Kiosk) -> None:
    step = kiosk.until(decided)

    assert step.refusal is Refusal.NO_BLINK
    assert step.trace["tries"] == 2
    asked = [s.hint for s in kiosk.steps]
    assert Hint.BLINK in asked


def test_a_blink_before_the_demand_does_not_count(kiosk: Kiosk) -> None:
    kiosk.until(at(Phase.WAITING))
    kiosk.blink()

    assert kiosk.until(decided).refusal is Refusal.NO_BLINK


def test_eyes_that_close_faster_than_anybody_reacts_do_not_count() -> None:
    policy = replace(POLICY, reaction_ms=150)
    hasty = Kiosk(CheckInDialogue(draw=lambda: 0.0, liveness=Level.BLINK, policy=policy))
    hasty.until(at(Phase.CHALLENGE))
    hasty.blink()

    assert hasty.until(decided).refusal is Refusal.NO_BLINK


def test_the_moment_of_the_demand_is_drawn_anew() -> None:
    def asked_after(draw: float) -> float:
        kiosk = Kiosk(CheckInDialogue(draw=lambda: draw, liveness=Level.BLINK))
        kiosk.until(at(Phase.CHALLENGE))
        return kiosk.at_ms

    assert asked_after(1.0) - asked_after(0.0) == pytest.approx(
        POLICY.wait_max_ms - POLICY.wait_min_ms, abs=FRAME_MS
    )


def test_another_face_after_the_blink_is_refused(challenged: Kiosk) -> None:
    challenged.blink(person=ALICE)
    step = Step(Phase.MATCHING, Hint.WAIT, 0)
    while not decided(step):
        step = challenged.show(a_face(), person=BOB)

    assert step.refusal is Refusal.IDENTITY_CHANGED


def test_another_face_during_the_blink_is_refused(challenged: Kiosk) -> None:
    step = challenged.show(a_face(ear=0.08), person=BOB)

    assert step.refusal is Refusal.IDENTITY_CHANGED


def test_a_face_that_jumps_starts_again(challenged: Kiosk) -> None:
    elsewhere = Box(10, 10, 150, 150)

    assert challenged.show(a_face(box=elsewhere)).phase is Phase.GUIDING


def test_a_face_that_was_lost_for_too_long_starts_again(challenged: Kiosk) -> None:
    while challenged.show(None).phase is not Phase.SEARCHING:
        pass

    assert challenged.show(a_face()).phase is Phase.GUIDING


def test_one_frame_without_a_face_is_forgiven(challenged: Kiosk) -> None:
    challenged.show(None)

    assert challenged.show(a_face()).phase is Phase.CHALLENGE


def test_one_bad_frame_is_forgiven_and_many_are_not(challenged: Kiosk) -> None:
    blurred = a_face(problems=(Problem.BLURRED,))

    assert challenged.show(blurred).phase is Phase.CHALLENGE
    steps = [challenged.show(blurred) for _ in range(10)]
    assert (steps[-1].phase, steps[-1].hint) == (Phase.GUIDING, Hint.STILL)


def test_a_second_person_stops_the_check_in(challenged: Kiosk) -> None:
    bystander = a_face(box=Box(460, 100, 640, 300))

    step = challenged.show(a_face(), bystander)

    assert (step.phase, step.hint) == (Phase.GUIDING, Hint.ONE_PERSON)


def test_somebody_small_in_the_background_does_not_matter(challenged: Kiosk) -> None:
    far_away = a_face(box=Box(500, 100, 580, 180))

    assert challenged.show(a_face(), far_away).phase is Phase.CHALLENGE


@pytest.mark.parametrize(
    ("problem", "hint"),
    [
        (Problem.TOO_SMALL, Hint.CLOSER),
        (Problem.TOO_DARK, Hint.LIGHT),
        (Problem.TURNED, Hint.STRAIGHT),
        (Problem.EYES_CLOSED, Hint.OPEN_EYES),
    ],
)
def test_the_person_is_told_what_to_change(kiosk: Kiosk, problem: Problem, hint: Hint) -> None:
    step = kiosk.show(a_face(problems=(problem,)))

    assert (step.phase, step.hint) == (Phase.GUIDING, hint)


def test_closed_eyes_are_no_fault_while_a_blink_is_awaited(challenged: Kiosk) -> None:
    step = challenged.show(a_face(ear=0.08, problems=(Problem.EYES_CLOSED,)))

    assert step.phase is Phase.CHALLENGE


def test_a_verdict_stays_and_then_the_person_is_asked_to_leave(challenged: Kiosk) -> None:
    challenged.blink()
    challenged.until(decided)
    challenged.dialogue.conclude(challenged.at_ms)

    assert challenged.dialogue.showing_verdict(challenged.at_ms + POLICY.show_ms - 1)
    assert not challenged.dialogue.showing_verdict(challenged.at_ms + POLICY.show_ms)
    challenged.at_ms += POLICY.show_ms
    step = challenged.show(a_face())
    assert (step.phase, step.hint) == (Phase.LEAVING, Hint.NEXT)


def test_the_next_person_starts_when_the_last_has_left(challenged: Kiosk) -> None:
    challenged.blink()
    challenged.until(decided)
    challenged.dialogue.conclude(challenged.at_ms)
    challenged.at_ms += POLICY.show_ms
    for _ in range(6):
        challenged.show(None)

    assert challenged.dialogue.phase is Phase.SEARCHING
    assert challenged.show(a_face(), person=BOB).phase is Phase.GUIDING
    challenged.until(at(Phase.CHALLENGE))


def test_who_does_not_leave_is_served_again_after_a_while(challenged: Kiosk) -> None:
    challenged.blink()
    challenged.until(decided)
    challenged.dialogue.conclude(challenged.at_ms)
    challenged.at_ms += POLICY.show_ms

    challenged.until(at(Phase.GUIDING))


def test_no_more_is_asked_of_the_workers_than_the_phase_needs(kiosk: Kiosk) -> None:
    assert not kiosk.dialogue.request().embed
    kiosk.until(at(Phase.GUIDING))
    assert kiosk.dialogue.request().near == BOX
    assert not kiosk.dialogue.request().embed
    kiosk.until(at(Phase.WAITING))
    assert kiosk.dialogue.request().embed
    kiosk.until(at(Phase.CHALLENGE))
    request = kiosk.dialogue.request()
    assert not request.embed
    assert 0.1 < request.embed_if_ear_below < 0.3


def test_a_frame_without_a_face_asks_for_a_fine_search_now_and_then(kiosk: Kiosk) -> None:
    fine = []
    for _ in range(10):
        fine.append(kiosk.dialogue.request().fine)
        kiosk.show(None)

    assert fine.count(True) == 2


def test_an_empty_analysis_is_no_face() -> None:
    assert FrameAnalysis(width=640, height=480).main_face is None
    with pytest.raises(ValueError, match="no embedding to fuse"):
        fuse([])
