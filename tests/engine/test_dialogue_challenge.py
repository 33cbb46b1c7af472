"""Sequences of actions in the check-in's conversation, frame by frame, without a camera."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import pytest

from recognition.engine.dialogue import AntiSpoofing, CheckInDialogue, Hint, Phase, Step
from recognition.engine.gallery import fuse
from recognition.engine.liveness.actions import KIND_OF, Action, Kind, Level
from recognition.engine.liveness.findings import Finding, Refusal
from recognition.engine.liveness.watch import PassiveWatch
from recognition.engine.quality import fusion_weight
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Face, Problem
from tests.engine.test_dialogue import (
    ALICE,
    BOB,
    FRAME_MS,
    Kiosk,
    at,
    decided,
    flickering_eyes,
)
from tests.support.face_samples import a_face, an_analysis, an_embedding

POLICY = DialoguePolicy()
DONE_BY = {
    Action.TURN_LEFT: {"yaw": 25.0},
    Action.TURN_RIGHT: {"yaw": -25.0},
    Action.LOOK_UP: {"pitch": 16.0},
    Action.OPEN_MOUTH: {"mouth": 0.55},
}
OPPOSITE = {
    Action.TURN_LEFT: Action.TURN_RIGHT,
    Action.TURN_RIGHT: Action.TURN_LEFT,
    Action.LOOK_UP: Action.TURN_LEFT,
    Action.OPEN_MOUTH: Action.TURN_RIGHT,
    Action.BLINK_ONCE: Action.OPEN_MOUTH,
    Action.BLINK_TWICE: Action.OPEN_MOUTH,
}


class Door(Kiosk):
    """Somebody who does what is asked, leaves it, or does something else."""

    def does(self, action: Action, *, person: int = ALICE) -> None:
        if action in DONE_BY:
            for number in range(60):
                step = self.show(a_face(**DONE_BY[action]), person=person)
                stays = step.asked is not None and step.asked.action is action
                if decided(step) or (number >= 2 and not stays):
                    return
            return
        for _ in range(2 if action is Action.BLINK_TWICE else 1):
            self.blink(person)
            self.show(a_face(), person=person)

    def asked(self) -> Action | None:
        asked = self.steps[-1].asked
        return asked.action if asked else None

    def until_asked(self, **face: float) -> Action:
        step = self.until(lambda step: decided(step) or bool(step.asked and step.asked.action))
        if decided(step) or step.asked is None or step.asked.action is None:
            pytest.fail(f"nothing was asked any more: {step}")
        self.show(a_face(**face))
        return step.asked.action

    def serve(self, respond: Callable[[Door, Action], None]) -> Step:
        """Respond to every question until something is decided."""
        for _ in range(20):
            step = self.until(lambda step: decided(step) or bool(step.asked and step.asked.action))
            if decided(step):
                return step
            assert step.asked is not None
            assert step.asked.action is not None
            self.show(a_face())
            respond(self, step.asked.action)
            if decided(self.steps[-1]):
                return self.steps[-1]
        pytest.fail("nothing was decided")


class Unsuspicious(PassiveWatch):
    """Faces made of numbers are as flat as they can be: here that is not the question."""

    def finding(self, *, complete: bool) -> Finding | None:
        return None


class TooSlow(PassiveWatch):
    """Frames come too rarely to tell their order, so many times that it is asked for."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._times = times

    def finding(self, *, complete: bool) -> Finding | None:
        if not complete or self._times == 0:
            return None
        self._times -= 1
        return Finding(Refusal.TOO_SLOW, "in_order", 0.1, 0.5)


def a_door(level: Level = Level.CHALLENGE, *, seed: int = 0, **options: Any) -> Door:
    draw = random.Random(seed).random
    options = {"new_watch": Unsuspicious, **options}
    return Door(CheckInDialogue(draw=draw, liveness=level, **options))


def leaves_it(door: Door, action: Action) -> None:
    """Looks at the screen and blinks now and then, but does nothing."""
    if KIND_OF[action] is not Kind.EYES:
        door.blink()
    door.until(lambda step: decided(step) or step.phase is Phase.WAITING)


@pytest.fixture
def door() -> Door:
    return a_door()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("level", "length"), [(Level.CHALLENGE, 2), (Level.STRICT, 3)])
def test_who_does_as_asked_is_alive(level: Level, length: int, seed: int) -> None:
    door = a_door(level, seed=seed)
    step = door.serve(Door.does)
    assert step.probe is not None
    trace = step.probe.trace
    assert [deed["action"] for deed in trace["actions"]] == trace["challenge"].split()
    assert len(trace["actions"]) == length
    assert (trace["level"], trace["tries"], len(trace["nonce"])) == (level, 1, 28)
    assert all(deed["reaction_ms"] >= POLICY.reaction_ms for deed in trace["actions"])
    assert step.probe.embedding @ an_embedding(ALICE) > 0.95


def test_whose_frames_come_too_rarely_is_looked_at_for_longer() -> None:
    door = a_door(new_watch=lambda: TooSlow(times=20))
    step = door.serve(Door.does)
    assert step.probe is not None
    assert door.steps[-2].hint is Hint.SLOW
    slow = [step for step in door.steps if step.hint is Hint.SLOW]
    assert len(slow) == 20
    assert {step.phase for step in slow} == {Phase.MATCHING}


def test_whose_frames_never_come_often_enough_is_told_so() -> None:
    door = a_door(new_watch=lambda: TooSlow(times=10_000))
    step = door.serve(Door.does)
    assert (step.probe, step.refusal) == (None, Refusal.TOO_SLOW)
    first = next(n for n, step in enumerate(door.steps) if step.hint is Hint.SLOW)
    waited_ms = (len(door.steps) - first) * FRAME_MS
    assert waited_ms == pytest.approx(POLICY.more_frames_ms, abs=500)


def test_the_screen_says_what_is_asked_and_how_far_it_is(door: Door) -> None:
    action = door.until_asked()
    step = door.steps[-1]
    assert (step.phase, step.hint) == (Phase.CHALLENGE, Hint(action.removesuffix("_once")))
    assert step.asked is not None
    assert (step.asked.number, step.asked.of) == (1, 2)
    door.serve(Door.does)
    progress = [step.progress for step in door.steps]
    assert progress == sorted(progress)
    assert progress[-1] == 1


def test_on_the_way_back_nothing_is_asked_and_the_way_is_told() -> None:
    door = door_that_asks(Action.TURN_LEFT)
    door.does(Action.TURN_LEFT)
    step = door.steps[-1]
    assert step.asked is not None
    assert (step.asked.action, step.asked.number, step.asked.share) == (None, 1, 1.0)
    assert step.hint is Hint.STRAIGHT


def door_that_asks(action: Action) -> Door:
    """The first door, of those that differ by their draws, that asks for this first."""
    for seed in range(100):
        door = a_door(seed=seed)
        if door.until_asked() is action:
            return door
    pytest.fail(f"{action} was never asked first")


@pytest.mark.parametrize(
    ("action", "half_way", "hint"),
    [
        (Action.TURN_LEFT, {"yaw": 12.0}, Hint.TURN_FURTHER),
        (Action.TURN_RIGHT, {"yaw": -12.0}, Hint.TURN_FURTHER),
        (Action.LOOK_UP, {"pitch": 7.0}, Hint.UP_FURTHER),
        (Action.OPEN_MOUTH, {"mouth": 0.27}, Hint.OPEN_WIDER),
    ],
)
def test_who_stops_half_way_is_told_what_is_missing(
    action: Action, half_way: dict[str, float], hint: Hint
) -> None:
    door = door_that_asks(action)
    for _ in range(9):
        step = door.show(a_face(**half_way))
    assert step.hint is hint


def test_after_one_of_two_blinks_the_other_one_is_asked_for() -> None:
    door = door_that_asks(Action.BLINK_TWICE)
    door.blink()
    for _ in range(6):
        step = door.show(a_face())
    assert step.hint is Hint.BLINK_AGAIN


def test_a_mouth_that_stays_open_is_told_to_close() -> None:
    door = door_that_asks(Action.OPEN_MOUTH)
    door.does(Action.OPEN_MOUTH)
    assert door.show(a_face(mouth=0.5)).hint is Hint.CLOSE_MOUTH


def test_a_head_turned_far_is_no_fault_while_it_is_asked_for() -> None:
    door = door_that_asks(Action.TURN_LEFT)
    for _ in range(9):
        step = door.show(a_face(yaw=40, problems=(Problem.TURNED,)))
    assert step.phase is Phase.CHALLENGE
    assert door.serve(Door.does).probe is not None


def hints_of_a_head_that_is_turned(level: Level, *, left_early: bool) -> list[Hint]:
    """What is said from when the head is turned until it may come back."""
    for seed in range(100):
        door = a_door(level, seed=seed)
        if KIND_OF[action := door.until_asked()] is Kind.TURN:
            break
    began = len(door.steps)
    if left_early:
        door.show(a_face(**DONE_BY[action]))
        door.show(a_face(**DONE_BY[action]))
        for _ in range(4):
            door.show(a_face())
    door.does(action)
    return [step.hint for step in door.steps[began:-1]]


def test_three_actions_are_kept_up_until_told_otherwise() -> None:
    said = hints_of_a_head_that_is_turned(Level.STRICT, left_early=False)
    assert said[-1] is Hint.HOLD
    assert said.count(Hint.HOLD) >= POLICY.hold_min_ms / FRAME_MS - 1
    assert Hint.HOLD not in hints_of_a_head_that_is_turned(Level.CHALLENGE, left_early=False)


def test_who_leaves_too_early_is_told_what_is_missing() -> None:
    said = hints_of_a_head_that_is_turned(Level.STRICT, left_early=True)
    assert said.index(Hint.HOLD) < said.index(Hint.HOLD_LONGER)
    assert said[-1] is Hint.HOLD


@pytest.mark.parametrize("frames", [4, 45])
def test_a_recording_leaves_too_early_or_too_late(frames: int) -> None:
    def plays(door: Door, action: Action) -> None:
        if action not in DONE_BY:
            door.does(action)
            return
        for _ in range(frames):
            if decided(door.show(a_face(**DONE_BY[action]))):
                return
        door.until(lambda step: decided(step) or door.asked() is not action)

    for seed in range(4):
        step = a_door(Level.STRICT, seed=seed).serve(plays)
        assert step.refusal is Refusal.NO_ACTION


# Glasses that landmarks take for lids


def told(step: Step) -> bool:
    return step.hint is Hint.GLASSES


def test_whose_eyes_are_not_seen_steadily_has_time_to_take_off_glasses(door: Door) -> None:
    for eyes in islice(flickering_eyes(), 20):
        door.show(eyes, person=BOB)  # as whose face the same one is seen with glasses
    first = next(number for number, step in enumerate(door.steps) if told(step))
    assert door.steps[first].phase is Phase.WAITING
    door.until(at(Phase.CHALLENGE))
    assert (len(door.steps) - first) * FRAME_MS >= POLICY.glasses_min_ms
    assert door.serve(Door.does).probe is not None


def test_who_cannot_be_seen_steadily_goes_on_all_the_same(door: Door) -> None:
    door.until(told, flickering_eyes())
    told_at_ms = door.at_ms
    door.until(at(Phase.CHALLENGE), flickering_eyes())
    assert POLICY.glasses_max_ms <= door.at_ms - told_at_ms < POLICY.glasses_max_ms + 3000
    assert not told(door.steps[-1])


def test_the_next_person_has_as_much_time_for_glasses(door: Door) -> None:
    door.until(at(Phase.CHALLENGE), flickering_eyes())
    for _ in range(10):
        door.show(None)
    assert told(door.until(told, flickering_eyes()))


# Who cannot, and who does something else


@pytest.mark.parametrize("kind", Kind)
def test_who_cannot_do_one_kind_of_action_gets_in_by_others(kind: Kind) -> None:
    def as_able(door: Door, action: Action) -> None:
        if KIND_OF[action] is kind:
            leaves_it(door, action)
        else:
            door.does(action)

    for seed in range(6):
        door = a_door(seed=seed)
        step = door.serve(as_able)
        assert step.probe is not None, step
        missed = step.probe.trace["missed"]
        assert {KIND_OF[action] for action in missed} <= {kind}
        assert step.probe.trace["tries"] == 1 + len(missed)


def test_a_missing_action_is_replaced_without_a_reproach(door: Door) -> None:
    missed = door.until_asked()
    door.until(at(Phase.WAITING))
    assert door.steps[-1].hint is Hint.SOMETHING_ELSE
    again = door.until_asked()
    sequence = door.dialogue._visit.challenge.actions  # type: ignore[union-attr]
    assert again in sequence
    assert KIND_OF[missed] not in {KIND_OF[action] for action in sequence}


def test_of_whom_two_blinks_were_not_seen_one_may_be_asked() -> None:
    asked_then = set()
    for seed in range(60):
        door = a_door(seed=seed)
        if door.until_asked() is Action.BLINK_TWICE:
            door.until(at(Phase.WAITING))
            door.until_asked()
            asked_then |= set(door.dialogue._visit.challenge.actions)  # type: ignore[union-attr]
    assert Action.BLINK_ONCE in asked_then
    assert Action.BLINK_TWICE not in asked_then


def test_what_was_done_before_a_missing_action_counts_on() -> None:
    for seed in range(6):
        door = a_door(Level.STRICT, seed=seed)
        done = door.until_asked()
        door.does(done)
        leaves_it(door, door.until_asked())
        asked_before = len(door.steps)
        step = door.serve(Door.does)
        assert step.probe is not None
        first, *others = [deed["action"] for deed in step.probe.trace["actions"]]
        assert first is done
        assert len(others) == 2
        asked = {one.asked.action for one in door.steps[asked_before:] if one.asked}
        assert done not in asked


def test_after_another_action_everything_is_asked_for_anew() -> None:
    door = a_door(Level.STRICT)
    door.does(door.until_asked())
    does_other(door, door.until_asked())
    door.until_asked()
    assert door.dialogue._visit.running_challenge.deeds == []


def test_who_lives_but_does_nothing_of_it_is_no_attacker(door: Door) -> None:
    step = door.serve(leaves_it)
    assert step.refusal is Refusal.NO_ACTION
    assert len(step.trace["missed"]) == step.trace["tries"] <= POLICY.sequences


def test_what_neither_moves_nor_blinks_shows_no_sign_of_life(door: Door) -> None:
    step = door.until(decided)
    assert step.refusal is Refusal.NO_SIGN_OF_LIFE
    assert step.trace["actions"] == []


def does_other(door: Door, action: Action) -> None:
    door.does(OPPOSITE[action])


def test_another_action_gets_another_sequence_once(door: Door) -> None:
    first = door.until_asked()
    asked_first = door.dialogue._visit.challenge.actions  # type: ignore[union-attr]
    does_other(door, first)
    assert (door.steps[-1].phase, door.steps[-1].hint) == (Phase.WAITING, Hint.OTHER_ACTION)
    door.until_asked()
    asked_then = door.dialogue._visit.challenge.actions  # type: ignore[union-attr]
    assert len(asked_then) == len(asked_first) + 1
    step = door.serve(does_other)
    assert step.refusal is Refusal.WRONG_ACTION
    assert step.trace["wrong"][0] == {"asked": first, "did": OPPOSITE[first]}
    assert len(step.trace["wrong"]) == POLICY.wrong_actions


def test_who_mixes_something_up_once_gets_in(door: Door) -> None:
    does_other(door, door.until_asked())
    step = door.serve(Door.does)
    assert step.probe is not None
    assert len(step.probe.trace["wrong"]) == 1


def test_going_away_in_between_does_not_make_wrong_actions_forgotten(door: Door) -> None:
    does_other(door, door.until_asked())
    for _ in range(10):
        door.show(None)
    assert door.dialogue.phase is Phase.SEARCHING
    does_other(door, door.until_asked())
    assert door.steps[-1].refusal is Refusal.WRONG_ACTION


def test_wrong_actions_of_the_last_person_are_not_those_of_the_next(door: Door) -> None:
    assert door.serve(does_other).refusal is Refusal.WRONG_ACTION
    door.dialogue.conclude(door.at_ms)
    door.dialogue.start_over()
    does_other(door, door.until_asked())
    assert door.steps[-1].refusal is None


def test_the_next_sequence_waits_until_the_face_is_back_at_rest(door: Door) -> None:
    does_other(door, door.until_asked())
    turned = [door.show(a_face(yaw=25)) for _ in range(35)]
    assert {step.phase for step in turned} == {Phase.WAITING}
    assert turned[-1].hint is Hint.STRAIGHT
    assert door.until_asked()


def test_no_sequence_comes_twice_in_a_row_at_a_kiosk(door: Door) -> None:
    last = None
    for _ in range(30):
        step = door.serve(Door.does)
        assert step.probe is not None
        assert step.probe.trace["challenge"] != last
        last = step.probe.trace["challenge"]
        door.dialogue.conclude(door.at_ms)
        door.dialogue.start_over()


def test_a_recording_of_all_actions_in_a_loop_hardly_ever_gets_in() -> None:
    """It turns left and right, looks up, opens its mouth and blinks, whatever is asked.

    That it retraces its own movements is for the passive checks, which are not asked here.
    """
    let_in = 0
    for seed in range(100):
        door = a_door(seed=seed)
        for _ in range(seed % 20):
            door.show(None)
        for action in cycle((*DONE_BY, Action.BLINK_TWICE)):
            door.does(action)
            for _ in range(5):
                door.show(a_face())
            ends = [step for step in door.steps if decided(step)]
            if ends:
                let_in += ends[0].probe is not None
                break
    assert let_in <= 10


# The same face all the way


@pytest.mark.parametrize("seed", range(6))
def test_another_face_that_does_what_is_asked_is_refused(seed: int) -> None:
    door = a_door(seed=seed)
    step = door.serve(lambda door, action: door.does(action, person=BOB))
    assert step.refusal is Refusal.IDENTITY_CHANGED


def test_only_frames_that_look_ahead_are_fused_and_by_their_quality(door: Door) -> None:
    step = door.serve(Door.does)
    assert step.probe is not None
    sightings = door.dialogue._visit.sightings
    ahead = [one for one in sightings if one.phase in (Phase.WAITING, Phase.MATCHING)]
    assert len(ahead) == POLICY.frames_before + POLICY.frames_after < len(sightings)
    weight = fusion_weight(a_face().quality)
    expected = fuse([one.embedding for one in ahead], [weight] * len(ahead))
    assert step.probe.embedding == pytest.approx(expected)


def test_while_matching_a_face_that_turns_away_is_waited_for(door: Door) -> None:
    while door.dialogue.phase is not Phase.MATCHING:
        door.does(door.until_asked())
        door.show(a_face())
        door.show(a_face())
    before = len(door.dialogue._visit.sightings)
    step = door.show(a_face(yaw=15))
    assert (step.phase, step.hint) == (Phase.MATCHING, Hint.STRAIGHT)
    assert len(door.dialogue._visit.sightings) == before


# Another look


def test_another_look_fuses_all_frames_and_comes_once(door: Door) -> None:
    assert not door.dialogue.may_look_again
    first = door.serve(Door.does)
    assert first.probe is not None
    assert door.dialogue.may_look_again
    step = door.dialogue.look_again(door.at_ms)
    assert (step.phase, step.hint) == (Phase.MATCHING, Hint.WAIT)
    second = door.until(decided)
    assert second.probe is not None
    assert second.probe.trace["frames"] == first.probe.trace["frames"] + POLICY.frames_after
    assert not door.dialogue.may_look_again
    with pytest.raises(ValueError, match="second time in one visit"):
        door.dialogue.look_again(door.at_ms)


def test_without_a_probe_there_is_no_other_look(door: Door) -> None:
    with pytest.raises(ValueError, match="without a probe"):
        door.dialogue.look_again(0.0)


# Two models, and the anti-spoofing model


class Models(Door):
    """A worker that also has a model to be replaced and one against spoofing."""

    live_confidence = 0.9

    def show(self, face: Face | None, *others: Face, **shown: Any) -> Step:
        request = self.dialogue.request()
        if face is None or not (request.embed or request.spoof_model):
            return super().show(face, *others, **shown)
        self.at_ms += FRAME_MS
        seen = replace(
            face,
            embedding=an_embedding(ALICE, noise=0.02, seed=int(self.at_ms)),
            previous_embedding=an_embedding(7, noise=0.02, seed=int(self.at_ms)),
        )
        confidence = self.live_confidence if request.spoof_model else None
        analysis = replace(an_analysis(seen), live_confidence=confidence)
        self.steps.append(self.dialogue.step(analysis, self.at_ms))
        return self.steps[-1]


def models(anti_spoofing: AntiSpoofing, live_confidence: float) -> Models:
    draw = random.Random(0).random
    door = Models(CheckInDialogue(draw=draw, anti_spoofing=anti_spoofing, new_watch=Unsuspicious))
    door.live_confidence = live_confidence
    return door


def test_where_two_models_serve_the_probe_has_an_embedding_of_each() -> None:
    step = models(AntiSpoofing.OFF, 0.9).serve(Door.does)
    assert step.probe is not None
    assert step.probe.previous is not None
    assert step.probe.previous @ an_embedding(7) > 0.95
    assert "live_confidence" not in step.probe.trace


def test_an_advisory_model_writes_its_figure_and_refuses_nobody() -> None:
    step = models(AntiSpoofing.ADVISORY, 0.1).serve(Door.does)
    assert step.probe is not None
    assert step.probe.trace["live_confidence"] == pytest.approx(0.1)


@pytest.mark.parametrize(("confidence", "refusal"), [(0.51, None), (0.49, Refusal.SPOOF_MODEL)])
def test_a_required_model_decides(confidence: float, refusal: Refusal | None) -> None:
    assert models(AntiSpoofing.REQUIRED, confidence).serve(Door.does).refusal is refusal


def test_a_required_model_that_says_nothing_lets_nobody_in() -> None:
    door = a_door(anti_spoofing=AntiSpoofing.REQUIRED)
    assert door.serve(Door.does).refusal is Refusal.SPOOF_MODEL


def test_the_model_is_asked_for_as_few_frames_as_it_needs() -> None:
    door = models(AntiSpoofing.REQUIRED, 0.9)
    asked = []
    original = door.dialogue.step

    def counted(analysis: Any, at_ms: float) -> Step:
        asked.append(analysis.live_confidence is not None)
        return original(analysis, at_ms)

    door.dialogue.step = counted  # type: ignore[method-assign]
    door.serve(Door.does)
    assert sum(asked) == POLICY.spoof_model_frames


# The passive checks


FLAT = Finding(Refusal.FLAT, "depth", 0.1, 0.4)


class SuspiciousAtOnce(PassiveWatch):
    def finding(self, *, complete: bool) -> Finding | None:
        return FLAT


class Jumpy(PassiveWatch):
    jumps = True

    def finding(self, *, complete: bool) -> Finding | None:
        return Finding(Refusal.JUMP, "leap", 2.0, 1.0) if self.jumps else None


class SuspiciousAtTheEnd(PassiveWatch):
    def finding(self, *, complete: bool) -> Finding | None:
        return FLAT if complete else None


def test_a_finding_that_nothing_can_mend_refuses_at_once() -> None:
    step = a_door(new_watch=SuspiciousAtOnce).show(a_face())
    assert step.refusal is Refusal.FLAT
    assert step.trace["finding"] == {"check": "depth", "figure": 0.1, "limit": 0.4}


def test_who_steps_in_briskly_begins_anew_and_who_jumps_later_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    door = a_door(new_watch=Jumpy)
    step = door.show(a_face())
    assert (step.phase, step.hint, step.refusal) == (Phase.GUIDING, Hint.STILL, None)
    monkeypatch.setattr(Jumpy, "jumps", False)
    door.until_asked()
    monkeypatch.setattr(Jumpy, "jumps", True)
    assert door.show(a_face()).refusal is Refusal.JUMP


def test_what_was_never_shown_refuses_at_the_end() -> None:
    step = a_door(new_watch=SuspiciousAtTheEnd).serve(Door.does)
    assert step.refusal is Refusal.FLAT
    assert len(step.trace["actions"]) == 2


def test_a_flat_face_is_refused_whatever_it_does() -> None:
    """The real checks: these landmarks stay where they are while their head is said to turn."""
    assert a_door(new_watch=PassiveWatch).serve(Door.does).refusal is Refusal.FLAT


def test_the_workers_measure_cues_only_of_who_is_checked_in(door: Door) -> None:
    assert not door.dialogue.request().cues
    door.until(at(Phase.GUIDING))
    assert door.dialogue.request().cues
    door.serve(Door.does)
    door.dialogue.conclude(door.at_ms)
    assert not door.dialogue.request().cues
