"""What may be asked for, and when a face has done it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from recognition.engine.blink import Blink
from recognition.engine.geometry import mouth_aspect_ratio
from recognition.engine.liveness.actions import (
    KIND_OF,
    Action,
    Kind,
    Level,
    drawn,
    new_nonce,
    sequences,
    strictest,
)
from recognition.engine.liveness.challenge import Challenge, Seen
from recognition.engine.liveness.movements import Movement, Posture, RestPose
from recognition.engine.thresholds import ActionThresholds, DialoguePolicy
from recognition.engine.types import Face
from tests.support.face_samples import a_face, an_embedding

LIMITS = ActionThresholds()
POLICY = DialoguePolicy()
REST = Posture(yaw=0.0, pitch=0.0, mouth=0.1)
FRAME_MS = 100.0
HEAD, FACE = {Kind.TURN, Kind.NOD}, {Kind.EYES, Kind.MOUTH}


# Sequences


def kinds_of(actions: tuple[Action, ...]) -> set[Kind]:
    return {KIND_OF[action] for action in actions}


def test_the_first_level_is_one_blink() -> None:
    assert sequences(Level.BLINK) == ((Action.BLINK_ONCE,),)


@pytest.mark.parametrize(("level", "length"), [(Level.CHALLENGE, 2), (Level.STRICT, 3)])
def test_the_others_mix_a_movement_of_the_head_with_eyes_or_mouth(
    level: Level, length: int
) -> None:
    for actions in sequences(level):
        kinds = kinds_of(actions)
        assert len(set(actions)) == len(actions) == length
        assert kinds & HEAD
        assert kinds & FACE


def test_three_actions_may_be_turns_to_both_sides_and_are_never_blinks_twice_over() -> None:
    twice = [
        {one for one in actions if sum(KIND_OF[one] is KIND_OF[other] for other in actions) > 1}
        for actions in sequences(Level.STRICT)
    ]
    assert {frozenset(one) for one in twice} == {
        frozenset(),
        frozenset({Action.TURN_LEFT, Action.TURN_RIGHT}),
    }


@pytest.mark.parametrize("level", [Level.CHALLENGE, Level.STRICT])
def test_every_action_may_be_asked_at_every_place(level: Level) -> None:
    for place in zip(*sequences(level), strict=True):
        assert set(place) == set(Action)


@pytest.mark.parametrize("level", [Level.CHALLENGE, Level.STRICT])
@pytest.mark.parametrize("unable", [{one} for one in Kind] + [{a, b} for a in HEAD for b in FACE])
def test_who_cannot_do_one_kind_is_asked_for_others_and_never_for_a_head_or_a_face_alone(
    level: Level, unable: set[Kind]
) -> None:
    choices = sequences(level, unable=frozenset(unable))
    assert choices
    for actions in choices:
        kinds = kinds_of(actions)
        assert not kinds & unable
        assert kinds & HEAD
        assert kinds & FACE


@pytest.mark.parametrize("unable", [HEAD, FACE])
def test_nothing_is_left_for_who_can_move_no_head_or_neither_eyes_nor_mouth(
    unable: set[Kind],
) -> None:
    assert sequences(Level.CHALLENGE, unable=frozenset(unable)) == ()
    with pytest.raises(ValueError, match="got no sequence to draw from"):
        drawn("nonce", (), last=None)


def test_a_sequence_follows_from_its_nonce_and_never_repeats_the_last() -> None:
    source = random.Random(7)
    choices, last = sequences(Level.CHALLENGE), None
    for _ in range(300):
        nonce = new_nonce(source.random)
        actions = drawn(nonce, choices, last=last)
        assert actions == drawn(nonce, choices, last=last)
        assert actions != last
        last = actions


def test_every_sequence_is_drawn_about_as_often() -> None:
    source = random.Random(1)
    choices = sequences(Level.CHALLENGE)
    counts = Counter(drawn(new_nonce(source.random), choices, last=None) for _ in range(1800))
    assert counts.keys() == set(choices)
    # 100 of each expected; six standard deviations of a binomial count are 58.
    assert max(abs(count - 100) for count in counts.values()) < 58


def test_nonces_are_of_one_length_and_differ() -> None:
    source = random.Random(1)
    nonces = {new_nonce(source.random) for _ in range(100)}
    assert {len(nonce) for nonce in nonces} == {28}
    assert len(nonces) == 100


def test_the_strictest_of_several_levels_counts() -> None:
    for first, second in combinations(Level, 2):
        assert strictest([first, second]) is strictest([second, first]) is second
    assert strictest([]) is Level.CHALLENGE


# Movements


def test_a_mouth_is_measured_by_its_opening_over_its_width() -> None:
    # Openings of 12 px at a width of 40 px.
    assert mouth_aspect_ratio(a_face(mouth=0.3).landmarks) == pytest.approx(0.3)
    assert mouth_aspect_ratio(np.zeros((68, 2), np.float32)) == 0


def test_rest_is_the_median_of_what_was_seen() -> None:
    rest = RestPose(LIMITS)
    rest.add(a_face(yaw=5))
    rest.add(a_face(yaw=7, pitch=-4))
    with pytest.raises(ValueError, match="got 2 frames, expected 3 or more"):
        _ = rest.posture
    rest.add(a_face(yaw=40, pitch=-6, mouth=0.2))
    assert rest.learned
    assert rest.posture.yaw == 7
    assert rest.posture.pitch == -4
    assert rest.posture.mouth == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("posture", "action", "share"),
    [
        ({"yaw": 9}, Action.TURN_LEFT, 0.5),
        ({"yaw": -27}, Action.TURN_RIGHT, 1.5),
        ({"pitch": 11}, Action.LOOK_UP, 1.0),
        ({"mouth": 0.6}, Action.OPEN_MOUTH, 2.0),
    ],
)
def test_a_movement_is_a_share_of_what_is_asked(
    posture: dict[str, float], action: Action, share: float
) -> None:
    movement = Movement.between(REST, Posture.of(a_face(**posture)), LIMITS)
    assert movement.clearest is action
    assert movement.share(action) == pytest.approx(share)
    assert movement.share(Action.BLINK_ONCE) == 0


# A sequence as it is done


class Asked:
    """A challenge that is shown faces, ten a second, from its beginning on."""

    def __init__(
        self, *actions: Action, rest: Posture = REST, draw: float = 0.0, held: bool = False
    ) -> None:
        self.at_ms = 0.0
        self.challenge = Challenge(
            nonce="n",
            actions=actions,
            rest=rest,
            at_ms=0.0,
            policy=POLICY,
            thresholds=LIMITS,
            draw=lambda: draw,
            held=held,
        )

    def show(
        self, *faces: Face, blink: Blink | None = None, closed: bool = False, embed: bool = True
    ) -> Seen:
        seen = Seen.GOING_ON
        for face in faces or (a_face(),):
            self.at_ms += FRAME_MS
            wanted = embed and (self.challenge.wants_embedding or closed)
            shown = replace(face, embedding=an_embedding(1)) if wanted else face
            seen = self.challenge.add(shown, blink, self.at_ms, eyes_closed=closed)
        return seen

    def rest(self, frames: int) -> Seen:
        return self.show(*[a_face()] * frames)

    def blink(self) -> Seen:
        """Closed for two frames, then open again."""
        self.show(a_face(ear=0.1), a_face(ear=0.1), closed=True)
        closed_from_ms = self.at_ms - FRAME_MS
        blink = Blink(closed_from_ms - FRAME_MS, closed_from_ms, self.at_ms, 0.0, 0.3, 0.3)
        return self.show(a_face(), blink=replace(blink, open_from_ms=self.at_ms + FRAME_MS))


DONE_BY = {
    Action.TURN_LEFT: {"yaw": 22.0},
    Action.TURN_RIGHT: {"yaw": -22.0},
    Action.LOOK_UP: {"pitch": 15.0},
    Action.OPEN_MOUTH: {"mouth": 0.5},
}


@pytest.mark.parametrize(("action", "posture"), DONE_BY.items())
def test_a_movement_is_done_once_it_is_held_and_the_face_is_back(
    action: Action, posture: dict[str, float]
) -> None:
    asked = Asked(action)
    asked.rest(3)
    assert asked.show(*[a_face(**posture)] * 2) is Seen.GOING_ON
    assert asked.challenge.asked is None
    assert asked.rest(1) is Seen.GOING_ON
    assert asked.rest(1) is Seen.DONE
    (deed,) = asked.challenge.deeds
    assert deed.trace()["action"] == action
    assert deed.trace()["reaction_ms"] == 400
    assert deed.trace()["took_ms"] == 100
    assert deed.trace()["extent"] > 1.2


@pytest.mark.parametrize(("action", "posture"), DONE_BY.items())
def test_a_movement_counts_from_where_the_face_rests(
    action: Action, posture: dict[str, float]
) -> None:
    """Who holds the head like this anyway has done nothing by it."""
    face = a_face(**posture)
    asked = Asked(action, rest=Posture.of(face))
    asked.show(*[face] * 5)
    assert asked.challenge.deeds == []
    assert asked.challenge.share == 0


def test_one_frame_alone_is_no_movement() -> None:
    asked = Asked(Action.TURN_LEFT)
    asked.rest(2)
    for _ in range(4):
        asked.show(a_face(yaw=25), a_face())
    assert asked.challenge.deeds == []


def test_a_movement_without_a_compared_frame_does_not_count() -> None:
    """Else somebody else could do what the one who is recognised does not."""
    asked = Asked(Action.TURN_LEFT)
    asked.rest(2)
    asked.show(*[a_face(yaw=25)] * 5, embed=False)
    assert asked.challenge.deeds == []
    asked.show(a_face(yaw=25))
    assert len(asked.challenge.deeds) == 1


def test_a_movement_faster_than_anybody_reacts_does_not_count() -> None:
    asked = Asked(Action.TURN_LEFT)
    asked.show(*[a_face(yaw=25)] * 5)
    assert asked.challenge.deeds == []
    asked.rest(2)
    asked.show(*[a_face(yaw=25)] * 2)
    assert len(asked.challenge.deeds) == 1


def test_the_next_action_is_asked_only_after_the_return_to_rest() -> None:
    asked = Asked(Action.TURN_LEFT, Action.OPEN_MOUTH)
    asked.rest(3)
    asked.show(*[a_face(yaw=22)] * 6)
    assert (asked.challenge.asked, asked.challenge.number) == (None, 1)
    assert asked.challenge.progress == 0.5
    asked.rest(2)
    assert (asked.challenge.asked, asked.challenge.number) == (None, 1)
    asked.rest(int(POLICY.pause_min_ms / FRAME_MS))
    assert (asked.challenge.asked, asked.challenge.number) == (Action.OPEN_MOUTH, 2)


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_the_next_action_is_asked_after_a_drawn_pause(draw: float) -> None:
    asked = Asked(Action.TURN_LEFT, Action.OPEN_MOUTH, draw=draw)
    asked.rest(3)
    asked.show(*[a_face(yaw=22)] * 2)
    asked.rest(LIMITS.rest_frames)
    rested_at_ms = asked.at_ms
    while asked.challenge.asked is None:
        asked.rest(1)
    drawn_ms = POLICY.pause_min_ms + draw * (POLICY.pause_max_ms - POLICY.pause_min_ms)
    assert asked.at_ms - rested_at_ms == pytest.approx(drawn_ms, abs=FRAME_MS)


def test_what_is_done_in_the_pause_does_not_count_and_begins_it_anew() -> None:
    asked = Asked(Action.TURN_LEFT, Action.OPEN_MOUTH, draw=0.5)
    asked.rest(3)
    asked.show(*[a_face(yaw=22)] * 2)
    asked.rest(LIMITS.rest_frames + 2)
    asked.show(*[a_face(mouth=0.6)] * 3)
    asked.rest(LIMITS.rest_frames)
    began_anew_ms = asked.at_ms
    while asked.challenge.asked is None:
        asked.rest(1)
    pause_ms = (POLICY.pause_min_ms + POLICY.pause_max_ms) / 2
    assert asked.at_ms - began_anew_ms == pytest.approx(pause_ms, abs=FRAME_MS)
    assert [deed.action for deed in asked.challenge.deeds] == [Action.TURN_LEFT]


def test_a_single_noisy_frame_does_not_begin_the_pause_anew() -> None:
    asked = Asked(Action.TURN_LEFT, Action.OPEN_MOUTH)
    asked.rest(3)
    asked.show(*[a_face(yaw=22)] * 2)
    asked.rest(LIMITS.rest_frames)
    asked.show(a_face(mouth=0.6))
    asked.rest(int(POLICY.pause_min_ms / FRAME_MS))
    assert asked.challenge.asked is Action.OPEN_MOUTH


@pytest.mark.parametrize("action", Action)
def test_of_whom_nothing_is_seen_for_a_while_is_told_apart(action: Action) -> None:
    asked = Asked(action)
    asked.rest(int(POLICY.unseen_ms / FRAME_MS) - 1)
    assert not asked.challenge.is_not_seen(asked.at_ms)
    asked.rest(1)
    assert asked.challenge.is_not_seen(asked.at_ms)


def test_who_does_not_come_back_to_rest_in_time_is_told_apart() -> None:
    asked = Asked(Action.TURN_LEFT, Action.OPEN_MOUTH)
    asked.rest(3)
    seen = asked.show(*[a_face(yaw=22)] * (2 + int(POLICY.return_ms / FRAME_MS)))
    assert seen is Seen.GOING_ON
    assert asked.show(a_face(yaw=22)) is Seen.NOT_BACK


# Movements that are kept up until something else is said


def held_ms(draw: float) -> float:
    return POLICY.hold_min_ms + draw * (POLICY.hold_max_ms - POLICY.hold_min_ms)


@pytest.mark.parametrize("draw", [0.0, 0.4, 0.999])
@pytest.mark.parametrize(("action", "posture"), DONE_BY.items())
def test_a_held_movement_counts_after_a_drawn_time(
    action: Action, posture: dict[str, float], draw: float
) -> None:
    asked = Asked(action, draw=draw, held=True)
    asked.rest(3)
    asked.show(*[a_face(**posture)] * 2)
    assert asked.challenge.is_held
    reached_at_ms = asked.at_ms
    while asked.challenge.asked is action and asked.at_ms < 10_000:
        asked.show(a_face(**posture))
    assert asked.at_ms - reached_at_ms == pytest.approx(held_ms(draw), abs=FRAME_MS)
    asked.show(a_face(**posture))
    assert asked.rest(2) is Seen.DONE
    assert asked.challenge.deeds[0].trace()["let_go_ms"] == 2 * FRAME_MS


def test_a_held_head_may_sway_a_little() -> None:
    asked = Asked(Action.TURN_LEFT, draw=0.5, held=True)
    asked.rest(3)
    asked.show(*[a_face(yaw=19), a_face(yaw=20), a_face(yaw=15), a_face(yaw=17)] * 4)
    assert asked.challenge.asked is None


def test_a_movement_that_is_left_too_early_is_done_again() -> None:
    asked = Asked(Action.TURN_LEFT, draw=0.5, held=True)
    asked.rest(3)
    asked.show(*[a_face(yaw=22)] * 5)
    assert not asked.challenge.was_left_early
    asked.rest(3)
    assert asked.challenge.was_left_early
    assert asked.challenge.deeds == []
    asked.show(*[a_face(yaw=22)] * 10)
    assert not asked.challenge.was_left_early
    asked.show(*[a_face(yaw=22)] * 5)
    assert asked.rest(2) is Seen.DONE


def test_who_does_not_leave_a_movement_when_told_has_not_done_it() -> None:
    asked = Asked(Action.TURN_LEFT, Action.LOOK_UP, held=True)
    asked.rest(3)
    frames = 2 + int((POLICY.hold_min_ms + POLICY.let_go_ms) / FRAME_MS)
    assert asked.show(*[a_face(yaw=22)] * frames) is Seen.GOING_ON
    assert (asked.challenge.asked, len(asked.challenge.deeds)) == (None, 1)
    assert asked.show(a_face(yaw=22)) is Seen.NOT_DONE
    assert (asked.challenge.asked, asked.challenge.deeds) == (Action.TURN_LEFT, [])


def test_who_has_begun_to_come_back_may_take_longer() -> None:
    asked = Asked(Action.TURN_LEFT, held=True)
    asked.rest(3)
    asked.show(*[a_face(yaw=25)] * 6, a_face(yaw=18))
    assert asked.show(*[a_face(yaw=12)] * 15) is Seen.GOING_ON
    assert asked.rest(2) is Seen.DONE


def test_there_is_as_much_time_for_a_movement_however_long_it_is_held() -> None:
    asked = Asked(Action.TURN_LEFT, draw=0.999, held=True)
    asked.rest(int(POLICY.challenge_ms / FRAME_MS) - 2)
    assert asked.show(*[a_face(yaw=22)] * int(held_ms(0.999) / FRAME_MS + 3)) is Seen.GOING_ON
    assert asked.rest(2) is Seen.DONE


def test_a_blink_is_not_held() -> None:
    asked = Asked(Action.BLINK_ONCE, draw=0.999, held=True)
    asked.rest(3)
    asked.blink()
    assert len(asked.challenge.deeds) == 1


OTHERS = [
    (Action.TURN_LEFT, {"yaw": -25.0}, Action.TURN_RIGHT),
    (Action.TURN_RIGHT, {"yaw": 25.0}, Action.TURN_LEFT),
    (Action.TURN_LEFT, {"pitch": 16.0}, Action.LOOK_UP),
    (Action.LOOK_UP, {"mouth": 0.6}, Action.OPEN_MOUTH),
    (Action.OPEN_MOUTH, {"yaw": 25.0}, Action.TURN_LEFT),
    (Action.BLINK_ONCE, {"mouth": 0.6}, Action.OPEN_MOUTH),
    (Action.BLINK_TWICE, {"yaw": -25.0}, Action.TURN_RIGHT),
]


@pytest.mark.parametrize(("action", "posture", "other"), OTHERS)
def test_a_clearly_other_action_is_told_with_its_name(
    action: Action, posture: dict[str, float], other: Action
) -> None:
    asked = Asked(action)
    asked.rest(3)
    assert asked.show(*[a_face(**posture)] * (LIMITS.other_frames - 1)) is Seen.GOING_ON
    assert asked.show(a_face(**posture)) is Seen.OTHER_ACTION
    assert asked.challenge.other is other


def test_what_closed_eyes_make_of_a_head_is_no_other_action() -> None:
    asked = Asked(Action.BLINK_ONCE)
    asked.rest(3)
    raised = [a_face(pitch=18.0, ear=0.1)] * 5
    assert asked.show(*raised, closed=True) is Seen.GOING_ON


@pytest.mark.parametrize(
    ("action", "posture"),
    [
        (Action.TURN_LEFT, {"yaw": -15.0}),  # looked around first
        (Action.TURN_LEFT, {"yaw": 22.0, "pitch": 10.0}),  # turned and raised a little
        (Action.OPEN_MOUTH, {"mouth": 0.5, "pitch": 6.0}),  # an open mouth reads as a raised chin
        (Action.BLINK_ONCE, {"mouth": 0.3}),  # talks
    ],
)
def test_what_people_do_besides_is_no_other_action(
    action: Action, posture: dict[str, float]
) -> None:
    asked = Asked(action)
    asked.rest(3)
    assert asked.show(*[a_face(**posture)] * 3) is Seen.GOING_ON


def test_a_blink_is_never_another_action() -> None:
    asked = Asked(Action.TURN_LEFT)
    asked.rest(3)
    assert asked.blink() is Seen.GOING_ON
    assert asked.challenge.deeds == []


def test_an_action_that_does_not_come_within_its_window_is_missing() -> None:
    asked = Asked(Action.TURN_LEFT)
    frames = int(POLICY.challenge_ms / FRAME_MS)
    assert asked.rest(frames) is Seen.GOING_ON
    assert asked.rest(1) is Seen.NOT_DONE


def test_each_action_has_a_window_of_its_own() -> None:
    asked = Asked(Action.TURN_LEFT, Action.LOOK_UP)
    asked.rest(45)
    asked.show(*[a_face(yaw=22)] * 2)
    asked.rest(2)
    assert asked.rest(45) is Seen.GOING_ON
    asked.show(*[a_face(pitch=15)] * 2)
    assert asked.rest(2) is Seen.DONE


def test_who_stops_half_way_is_known_to_after_a_while() -> None:
    asked = Asked(Action.TURN_LEFT)
    asked.rest(3)
    asked.show(*[a_face(yaw=12)] * 7)
    assert not asked.challenge.is_half_way(asked.at_ms)
    asked.show(a_face(yaw=12))
    assert asked.challenge.is_half_way(asked.at_ms)
    assert asked.challenge.share == pytest.approx(0.67, abs=0.01)


# Blinks


def test_one_blink_is_one_blink() -> None:
    asked = Asked(Action.BLINK_ONCE)
    asked.rest(3)
    asked.blink()
    (deed,) = asked.challenge.deeds
    figures = {"closed_ms": 100, "spanned_ms": 300, "depth": 0.3}
    assert deed.trace() == {"action": "blink_once", "reaction_ms": 400, **figures}


def test_two_blinks_follow_each_other_soon() -> None:
    asked = Asked(Action.BLINK_TWICE)
    asked.rest(3)
    asked.blink()
    assert (asked.challenge.deeds, asked.challenge.share) == ([], 0.5)
    asked.rest(2)
    asked.blink()
    (deed,) = asked.challenge.deeds
    assert deed.trace()["pause_ms"] == 400


def test_two_blinks_far_apart_are_two_single_ones() -> None:
    asked = Asked(Action.BLINK_TWICE)
    asked.rest(3)
    asked.blink()
    asked.rest(20)
    asked.blink()
    assert (asked.challenge.deeds, asked.challenge.share) == ([], 0.5)


def test_eyes_that_close_as_the_time_ends_are_waited_for() -> None:
    asked = Asked(Action.BLINK_ONCE)
    asked.rest(int(POLICY.challenge_ms / FRAME_MS) - 1)
    asked.blink()
    assert len(asked.challenge.deeds) == 1
