"""Each passive check has an attack that it refuses and a living person whom it does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from recognition.engine.liveness.actions import Action
from recognition.engine.liveness.findings import Finding, Refusal
from recognition.engine.liveness.watch import PassiveWatch
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import FrameCues, Image, Points
from tests.support.heads import HEAD, PICTURE, analysis, bent, cues, face_of, seen

FPS = 12.0
LIMITS = PassiveThresholds()

Moment = tuple[float, Points, FrameCues | None]


def watched(
    moments: Iterable[Moment],
    *,
    closed_ms: tuple[float, float] = (0, 0),
    limits: PassiveThresholds | None = None,
) -> PassiveWatch:
    """A watch that has seen these frames; the eyes count as closed in between."""
    watch = PassiveWatch(limits)
    for at_ms, landmarks, frame_cues in moments:
        face = face_of(landmarks)
        watch.add(
            analysis(face, frame_cues),
            face,
            at_ms,
            action=None,
            eyes_closed=closed_ms[0] <= at_ms < closed_ms[1],
        )
    return watch


def finding_of(moments: Iterable[Moment]) -> Finding | None:
    return watched(moments).finding(complete=True)


def times(seconds: float, fps: float = FPS) -> list[float]:
    return [number * 1000 / fps for number in range(round(seconds * fps))]


def swung(at_ms: float, *, degrees: float, from_ms: float = 1000, for_ms: float = 1400) -> float:
    """Out and back again, as a head turns that is asked to."""
    share = (at_ms - from_ms) / for_ms
    return degrees * math.sin(math.pi * share) ** 2 if 0 < share < 1 else 0.0


def a_scene(seed: int = 7) -> Image:
    """A wall with a texture, from which a camera sees a part; 320 x 240."""
    texture = np.random.default_rng(seed).normal(120, 120, (240, 320)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(texture, (0, 0), 6) * 4 - 360, 0, 255).astype(np.uint8)


def thumbnail(at_ms: float, *, noise_seed: int, noise: float = 0.3) -> Image:
    """A still room, in whose middle somebody is as they are at that time of their life."""
    scene = a_scene().astype(np.float32)
    somebody = a_scene(8)[40:200, 80:240]
    right, down, lean = wandering(at_ms)
    motion = cv2.getRotationMatrix2D((80, 80), lean, 1)
    motion[:, 2] += (80 + right, 40 + down)
    there = cv2.warpAffine(np.full_like(somebody, 255), motion, (320, 240)) > 127
    scene[there] = cv2.warpAffine(somebody, motion, (320, 240))[there]
    small = cv2.resize(scene, (32, 24), interpolation=cv2.INTER_AREA)
    fresh = np.random.default_rng(noise_seed).normal(0, noise, small.shape)
    return np.clip(small + fresh, 0, 255).astype(np.uint8)


def wandering(at_ms: float) -> tuple[float, float, float]:
    """Pixels to the right and down, and degrees, of a person who comes no way twice."""
    return (
        9 * math.sin(at_ms / 700) + at_ms / 400,
        6 * math.sin(at_ms / 1100 + 1),
        5 * math.sin(at_ms / 900 + 2),
    )


def a_stream(
    moment: Callable[[int, float], float],
    *,
    seconds: float = 5,
    fps: float = FPS,
    at: Sequence[float] | None = None,
) -> list[Moment]:
    """What was filmed at ``moment(number, time)``, each frame with fresh noise."""
    face = cues(seed=1).face
    return [
        (
            at_ms,
            seen(HEAD, noise_px=0.5, seed=number),
            cues(thumbnail=thumbnail(moment(number, at_ms), noise_seed=number), face=face),
        )
        for number, at_ms in enumerate(at or times(seconds, fps))
    ]


def alive(fps: float = FPS, *, degrees: float = 28, seconds: float = 4) -> list[Moment]:
    """Somebody who moves, and turns the head out and back."""
    face = cues(seed=1).face
    return [
        (
            at_ms,
            seen(HEAD, yaw=swung(at_ms, degrees=degrees), noise_px=1.0, seed=number),
            cues(thumbnail=thumbnail(at_ms, noise_seed=number), face=face),
        )
        for number, at_ms in enumerate(times(seconds, fps))
    ]


# The living


@pytest.mark.parametrize("fps", [5, 8, 12, 20, 30])
@pytest.mark.parametrize("degrees", [-35, 0, 28])
def test_a_living_person_is_found_nothing_against(fps: float, degrees: float) -> None:
    assert finding_of(alive(fps, degrees=degrees)) is None


def test_nothing_is_found_before_anything_was_seen() -> None:
    assert PassiveWatch().finding(complete=True) is None


def test_the_trace_holds_every_figure_that_could_be_taken() -> None:
    trace = watched(alive()).trace()

    assert {"gap_ms", "leap", "change", "stopped_ms", "repeats", "retraced_ms"} <= trace.keys()
    assert {"again", "backwards", "splice", "cuts", "moire", "border", "flicker"} <= trace.keys()
    assert {"depth", "plane_residual"} <= trace.keys()
    assert trace["gap_ms"] == pytest.approx(83.333)
    assert trace["depth"] == pytest.approx(1, abs=0.15)


def test_without_cues_landmarks_and_times_are_judged_alone() -> None:
    watch = watched((at_ms, landmarks, None) for at_ms, landmarks, _ in alive())

    assert watch.finding(complete=True) is None
    assert "moire" not in watch.trace()
    assert "depth" in watch.trace()


# Continuity


def test_a_face_that_was_away_for_longer_than_a_second_may_be_another() -> None:
    found = finding_of([(0.0, seen(HEAD), None), (1200.0, seen(HEAD), None)])

    assert found == Finding(Refusal.GAP, "gap_ms", 1200.0, LIMITS.max_gap_ms)


def leapt(there: Points, *, step_ms: float) -> list[Moment]:
    """At rest, and then for three frames elsewhere."""
    return [(0.0, seen(HEAD), None), *((n * step_ms, there, None) for n in (1, 2, 3))]


@pytest.mark.parametrize("frames", [1, 2])
def test_landmarks_that_go_astray_for_a_frame_or_two_are_no_jump(frames: int) -> None:
    here, astray = seen(HEAD), seen(HEAD, right_px=200)
    shown = [here, *[astray] * frames, here, here]

    assert finding_of((number * 83.3, one, None) for number, one in enumerate(shown)) is None


def test_a_face_that_is_elsewhere_in_the_next_frame_has_jumped() -> None:
    """Eye corners are 100 px apart: 120 px in 83 ms is more than 0.5 + 6 × 0.083 = 1.0."""
    found = finding_of(leapt(seen(HEAD, right_px=120), step_ms=83.3))

    assert found is not None
    assert (found.reason, found.check) == (Refusal.JUMP, "leap")
    assert found.figure == pytest.approx(1.2, abs=0.01)


def test_at_five_frames_a_second_as_far_a_way_is_a_step_aside() -> None:
    assert finding_of(leapt(seen(HEAD, right_px=120), step_ms=200)) is None


def test_a_face_that_is_larger_by_half_at_once_has_jumped() -> None:
    larger = (1.5 * (seen(HEAD) - [320, 240]) + [320, 240]).astype(np.float32)

    found = finding_of(leapt(larger, step_ms=83.3))

    assert found is not None
    assert found.check == "leap"


def test_another_face_at_the_same_place_is_a_change() -> None:
    moments = alive(seconds=2)
    swapped = [
        (at_ms, landmarks, cues(seed=99, thumbnail=given.thumbnail) if at_ms > 900 else given)
        for at_ms, landmarks, given in moments
        if given
    ]

    found = finding_of(swapped)

    assert found is not None
    assert (found.reason, found.check) == (Refusal.JUMP, "change")


# Repetition


def test_a_picture_that_stands_still_is_no_stream() -> None:
    one = cues()

    found = finding_of((at_ms, seen(HEAD), one) for at_ms in times(2))

    assert found is not None
    assert (found.reason, found.check) == (Refusal.REPEATED_FRAMES, "stopped_ms")


@pytest.mark.parametrize("camera_fps", [5, 7.5, 10])
def test_a_camera_slower_than_the_page_shows_some_frames_twice(camera_fps: float) -> None:
    given: dict[int, FrameCues] = {}
    moments = []
    for at_ms in times(4):
        number = int(at_ms * camera_fps / 1000)
        picture = thumbnail(number * 1000 / camera_fps, noise_seed=number)
        face = cues(seed=1).face
        given.setdefault(number, cues(thumbnail=picture, face=face))
        moments.append((at_ms, seen(HEAD), given[number]))

    assert finding_of(moments) is None


def test_a_camera_that_repeats_each_frame_and_then_none_is_none() -> None:
    moments = a_stream(lambda number, at_ms: at_ms)
    held = moments[:20]
    for number in range(0, 20, 2):
        held[number + 1] = (held[number + 1][0], held[number + 1][1], held[number][2])

    found = finding_of([*held, *moments[20:]])

    assert found is not None
    assert (found.reason, found.check) == (Refusal.REPEATED_FRAMES, "uneven")


def test_a_frame_that_comes_again_later_is_a_loop() -> None:
    moments = alive(seconds=3)
    again = [(at_ms + 3000, landmarks, given) for at_ms, landmarks, given in moments[:5]]

    found = finding_of([*moments, *again])

    assert found is not None
    assert (found.reason, found.check) == (Refusal.REPEATED_FRAMES, "repeats")


@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_is_seen_although_each_frame_was_made_anew(backwards: bool) -> None:
    """20 frames round and round, or to and fro, with fresh noise in each."""

    def moment(number: int, _: float) -> float:
        cycle, at = divmod(number, 20)
        at = 19 - at if backwards and cycle % 2 else at
        return at * 1000 / FPS

    found = finding_of(a_stream(moment))

    assert found is not None
    assert (found.reason, found.check) == (Refusal.REPEATED_FRAMES, "retraced_ms")


def test_shuffled_frames_are_out_of_order() -> None:
    shuffled = np.random.default_rng(3).permutation(60)

    watch = watched(a_stream(lambda number, _: float(shuffled[number]) * 83))

    assert watch.trace()["backwards"] > LIMITS.max_backwards
    assert watch.finding(complete=True) is not None


def test_frames_that_come_again_in_any_order_are_counted() -> None:
    drawn = np.random.default_rng(4).integers(0, 12, 60)

    watch = watched(a_stream(lambda number, _: float(drawn[number]) * 83))

    assert watch.trace()["again"] > LIMITS.max_again
    assert watch.finding(complete=True) is not None


def test_a_recording_that_begins_anew_leaves_a_seam() -> None:
    found = finding_of(a_stream(lambda _, at_ms: at_ms if at_ms < 2000 else 20_000 + at_ms))

    assert found is not None
    assert (found.reason, found.check) == (Refusal.JUMP, "seam")


def test_one_recording_cut_into_another_leaves_two_seams() -> None:
    def moment(_: int, at_ms: float) -> float:
        return 20_000 + at_ms if 2000 <= at_ms < 3000 else at_ms

    watch = watched(a_stream(moment), limits=replace(LIMITS, max_seam=math.inf))
    found = watch.finding(complete=True)

    assert found is not None
    assert (found.reason, found.check) == (Refusal.JUMP, "splice")


def test_recorded_actions_cut_in_one_by_one_leave_four_seams() -> None:
    def moment(_: int, at_ms: float) -> float:
        return 20_000 + at_ms if 1500 <= at_ms < 2500 or 3500 <= at_ms < 4500 else at_ms

    limits = replace(LIMITS, max_seam=math.inf, max_splice=math.inf, max_jerks=99)
    cut = a_stream(moment, seconds=6)
    found = watched(cut, limits=limits).finding(complete=True)

    assert found is not None
    assert (found.reason, found.check) == (Refusal.JUMP, "cuts")
    assert "cuts" not in watched(in_a_hand(cut), limits=limits).trace()


def in_a_hand(moments: Iterable[Moment]) -> list[Moment]:
    """The same, seen by a camera that never stands still."""
    trembling = []
    for at_ms, landmarks, given in moments:
        assert given is not None
        shift = np.float32(
            [[1, 0, 1.5 * math.sin(at_ms / 110)], [0, 1, 0.2 * math.sin(at_ms / 170)]]
        )
        moved = cv2.warpAffine(given.thumbnail, shift, (32, 24), borderMode=cv2.BORDER_REFLECT)
        shown = replace(given, thumbnail=np.asarray(moved, np.uint8))
        trembling.append((at_ms, landmarks, shown))
    return trembling


def test_in_a_hand_that_trembles_a_living_person_is_found_nothing_against() -> None:
    moments = in_a_hand(a_stream(lambda _, at_ms: at_ms))

    assert "backwards" not in watched(moments).trace()
    assert finding_of(moments) is None


@pytest.mark.parametrize("fps", [3, 5, 8])
def test_frames_that_are_sent_twice_with_fresh_noise_move_by_jerks(fps: float) -> None:
    """What was filmed in a hand that trembles stands still in every other step."""
    filmed = in_a_hand(a_stream(lambda _, at_ms: at_ms, seconds=24 / fps, fps=fps))
    sent = []
    for number, at_ms in enumerate(times(24 / fps, fps)):
        _, landmarks, given = filmed[number // 2]
        noise = np.random.default_rng(number).normal(0, 0.15, (24, 32))
        assert given is not None
        anew = np.clip(np.rint(given.thumbnail + noise), 0, 255).astype(np.uint8)
        sent.append((at_ms, landmarks, cues(thumbnail=anew, face=given.face)))

    watch = watched(sent)

    assert watch.trace()["jerks"] > LIMITS.max_jerks
    assert watch.finding(complete=False) is not None


# Frames that come rarely, or unevenly


def beside_now_and_then(number: int, at_ms: float) -> float:
    """Somebody who has moved aside, and come back, between two frames: three times in a visit."""
    return at_ms + (20_000 if number in (7, 12, 17) else 0)


@pytest.mark.parametrize("fps", [2, 2.8, 4, 6])
def test_who_moves_out_and_back_between_two_frames_is_not_out_of_order(fps: float) -> None:
    watch = watched(a_stream(beside_now_and_then, seconds=25 / fps, fps=fps))

    assert watch.finding(complete=False) is None
    assert watch.trace().get("backwards", 0.0) == 0.0


def test_the_first_movement_of_a_visit_that_has_just_begun_is_none_either() -> None:
    """One frame of ten that goes back on the last is more than a share that is counted later."""
    moments = a_stream(lambda number, at_ms: at_ms + (20_000 if number == 10 else 0), seconds=1.1)

    assert finding_of(moments) is None


def test_frames_that_come_unevenly_are_judged_by_those_that_come_soon() -> None:
    rng = np.random.default_rng(2)
    at = np.cumsum(80 + np.minimum(rng.exponential(170, 60), 800)).tolist()

    assert finding_of(a_stream(lambda _, at_ms: at_ms, at=at)) is None


@pytest.mark.parametrize("fps", [3, 5, 8, 12])
def test_shuffled_frames_are_found_at_each_rate_at_which_order_is_judged(fps: float) -> None:
    shuffled = np.random.default_rng(3).permutation(60)

    found = finding_of(
        a_stream(lambda number, _: float(shuffled[number]) * 1000 / fps, seconds=60 / fps, fps=fps)
    )

    assert found is not None
    assert found.reason in (Refusal.OUT_OF_ORDER, Refusal.REPEATED_FRAMES, Refusal.JUMP)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_stream_too_slow_for_its_order_is_no_proof_in_the_end(shuffled: bool) -> None:
    order = np.random.default_rng(3).permutation(40) if shuffled else np.arange(40)
    watch = watched(
        a_stream(lambda number, _: float(order[number]) * 500, seconds=12, fps=2), closed_ms=(0, 0)
    )

    assert watch.finding(complete=False) is None
    found = watch.finding(complete=True)
    assert found is not None
    assert (found.reason, found.check) == (Refusal.TOO_SLOW, "in_order")


def test_a_slow_stream_that_becomes_quick_enough_is_judged_after_all() -> None:
    slow = [500.0 * number for number in range(12)]
    quick = [slow[-1] + 100.0 * number for number in range(1, 14)]

    assert finding_of(a_stream(lambda _, at_ms: at_ms, at=slow)) is not None
    assert finding_of(a_stream(lambda _, at_ms: at_ms, at=[*slow, *quick])) is None


def test_a_loop_is_found_however_rarely_its_frames_come() -> None:
    moments = a_stream(lambda _, at_ms: at_ms, seconds=8, fps=2)
    again = [(at_ms + 8000, landmarks, given) for at_ms, landmarks, given in moments]

    found = finding_of([*moments, *again])

    assert found is not None
    assert (found.reason, found.check) == (Refusal.REPEATED_FRAMES, "repeats")


def test_one_frame_shown_once_more_is_no_stopped_stream_however_rarely_frames_come() -> None:
    moments = a_stream(lambda _, at_ms: at_ms, seconds=8, fps=2.8)
    moments[9] = (moments[9][0], moments[9][1], moments[8][2])

    assert watched(moments).trace()["stopped_ms"] == 0
    moments[10] = (moments[10][0], moments[10][1], moments[8][2])
    assert watched(moments).trace()["stopped_ms"] == pytest.approx(2 * 1000 / 2.8)


def test_a_large_step_that_took_long_is_no_seam() -> None:
    """Twice a second passes between two frames: the person has moved on as far as people do."""
    at = [at_ms for at_ms in times(6) if not 2000 < at_ms < 2900 and not 4000 < at_ms < 4900]

    watch = watched(a_stream(lambda _, at_ms: at_ms, at=at))

    assert watch.trace()["splice"] < 1.5
    assert watch.finding(complete=True) is None


def test_light_is_not_compared_over_so_long_that_somebody_moves_on() -> None:
    assert "flicker" not in watched(a_stream(lambda _, at_ms: at_ms, seconds=9, fps=3)).trace()
    assert "flicker" in watched(a_stream(lambda _, at_ms: at_ms, seconds=5, fps=5)).trace()


# Flatness


@pytest.mark.parametrize("sheet", [PICTURE, bent(radius=130)], ids=["flat", "bent"])
def test_a_picture_that_is_swung_like_a_head_is_flat(sheet: np.ndarray) -> None:
    """Far enough for its sides to become visibly shorter, as a turned head's would."""
    moments = [
        (at_ms, seen(sheet, yaw=swung(at_ms, degrees=52), noise_px=1.0, seed=number), None)
        for number, at_ms in enumerate(times(4))
    ]

    found = finding_of(moments)

    assert found is not None
    assert (found.reason, found.check) == (Refusal.FLAT, "depth")


def test_a_print_of_a_turned_face_that_is_slid_in_shows_no_head_between() -> None:
    """Whose landmarks read "turned" though the points of the rest fit it by a homography."""
    moments = [
        (at_ms, seen(HEAD if at_ms < 1000 else PICTURE, yaw=swung(at_ms, degrees=50)), None)
        for at_ms in times(3)
    ]

    found = finding_of(moments)

    assert found is not None
    assert found.reason is Refusal.FLAT


def test_what_has_not_been_shown_yet_is_not_held_against_anybody() -> None:
    watch = watched(
        (at_ms, seen(PICTURE, yaw=swung(at_ms, degrees=52)), None) for at_ms in times(4)
    )

    assert watch.finding(complete=False) is None
    assert watch.finding(complete=True) is not None


# Blinks


def with_eyes(at_ms: float, *, crease_follows: bool, noise: float = 0.8) -> Image:
    """Both eyes: closed from 1000 to 1250 ms, with a crease in the skin above."""
    closed = 1000 <= at_ms < 1250
    rows = np.arange(24.0)[:, None] + np.zeros((24, 32))
    crease = 8.5 if closed and crease_follows else 7.0
    patch = 170 - 45 * np.exp(-(((rows - crease) / 2) ** 2))
    patch[13:17, 9:24] = 165 if closed else 60
    grain = np.random.default_rng(int(at_ms)).normal(0, noise, (2, 24, 32))
    return np.clip(patch + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("crease_follows", [True, False])
def test_a_blink_behind_holes_leaves_the_skin_above_as_it_is(crease_follows: bool) -> None:
    moments = [
        (
            at_ms,
            seen(HEAD),
            cues(
                face=cues(seed=1).face,
                eyes=with_eyes(at_ms, crease_follows=crease_follows),
                thumbnail=thumbnail(at_ms, noise_seed=number),
            ),
        )
        for number, at_ms in enumerate(times(2))
    ]

    found = watched(moments, closed_ms=(1000, 1250)).finding(complete=True)

    assert (found is None) == crease_follows
    assert found is None or found.reason is Refusal.IMPLAUSIBLE_BLINK


def test_a_blink_while_the_head_turns_says_nothing_of_the_lids() -> None:
    watch = PassiveWatch()
    for at_ms in times(2):
        face = face_of(seen(HEAD))
        eyes = with_eyes(at_ms, crease_follows=False)
        closed = 1000 <= at_ms < 1250
        watch.add(
            analysis(face, cues(eyes=eyes)), face, at_ms, action=Action.LOOK_UP, eyes_closed=closed
        )

    assert "lid_motion" not in watch.trace()


@pytest.mark.parametrize(("noise", "tells"), [(0.8, True), (30.0, False)])
def test_where_the_open_eye_is_never_the_same_a_blink_says_nothing_of_the_lids(
    noise: float, tells: bool
) -> None:
    moments = [
        (at_ms, seen(HEAD), cues(eyes=with_eyes(at_ms, crease_follows=False, noise=noise)))
        for at_ms in times(2)
    ]

    trace = watched(moments, closed_ms=(1000, 1250)).trace()

    assert ("lid_motion" in trace) == tells


# Screens


@pytest.mark.parametrize(
    ("check", "changed"), [("moire", {"moire": 1.6}), ("border", {"border_cover": 0.9})]
)
def test_a_screen_shows_itself_in_most_frames(check: str, changed: dict[str, float]) -> None:
    face = cues(seed=1).face
    moments = [
        (
            at_ms,
            seen(HEAD),
            cues(thumbnail=thumbnail(at_ms, noise_seed=n), face=face, **changed),
        )
        for n, at_ms in enumerate(times(1))
    ]

    found = finding_of(moments)

    assert found is not None
    assert (found.reason, found.check) == (Refusal.SCREEN, check)


def test_one_frame_that_looks_like_a_screen_decides_nothing() -> None:
    moments = alive(seconds=2)
    at_ms, landmarks, given = moments[5]
    assert given is not None
    odd = cues(moire=3.0, border_cover=1.0, thumbnail=given.thumbnail, face=given.face)
    moments[5] = (at_ms, landmarks, odd)

    assert finding_of(moments) is None


def test_bands_that_wander_over_the_frame_are_flicker() -> None:
    face = cues(seed=1).face
    moments = []
    for number, at_ms in enumerate(times(2)):
        bands = 1 + 0.12 * np.sin(2 * np.pi * np.arange(24) / 8 + 2.1 * number)
        picture = thumbnail(at_ms, noise_seed=number) * bands[:, None]
        shown = cues(thumbnail=np.clip(picture, 0, 255).astype(np.uint8), face=face)
        moments.append((at_ms, seen(HEAD), shown))

    assert watched(moments).trace()["flicker"] > LIMITS.max_flicker
    assert finding_of(moments) is not None


def test_what_is_asked_for_does_not_change_what_is_seen() -> None:
    watch = PassiveWatch()
    for at_ms, landmarks, given in alive():
        face = face_of(landmarks)
        watch.add(analysis(face, given), face, at_ms, action=Action.TURN_LEFT, eyes_closed=False)

    assert watch.finding(complete=True) is None
