"""When each connection may send its next frame: no clock, no worker, no socket."""

from __future__ import annotations

from itertools import pairwise

import pytest

from checkin.admission import (
    ACTIVE_S,
    FRAMES_PER_S,
    LONGEST_S,
    MAX_FRAMES_PER_S,
    OTHERS_S,
    UTILISATION,
    Before,
    Pace,
)

WORKERS = 2


def a_pace(*, service_s: float, wait_s: float = 0.0) -> Pace:
    """After so many frames that the means are those of each."""
    pace = Pace(workers=WORKERS)
    for _frame in range(300):
        pace.served(service_s=service_s, wait_s=wait_s)
    return pace


def test_before_the_first_frame_nobody_waits_longer_than_the_fastest_camera() -> None:
    assert Pace(workers=WORKERS).next_after(5.0, connection=1) == 5.0 + 1 / MAX_FRAMES_PER_S


def test_frames_that_came_together_are_spread_by_what_one_takes() -> None:
    pace = a_pace(service_s=0.018)
    due_s = sorted(pace.next_after(7.0, connection=one) for one in range(30))[4:]
    apart_s = 0.018 / (WORKERS * UTILISATION)
    steps = [later - sooner for sooner, later in pairwise(due_s)]
    assert min(steps) == pytest.approx(apart_s, rel=1e-3)


def test_the_rate_of_all_together_is_what_the_workers_can_do() -> None:
    pace = a_pace(service_s=0.018)
    last_s, frames = dict.fromkeys(range(40), 0.0), 0
    while min(last_s.values()) < 10.0:
        connection = min(last_s, key=last_s.__getitem__)
        last_s[connection] = pace.next_after(last_s[connection], connection=connection)
        frames += 1
    assert frames / 10.0 == pytest.approx(WORKERS * UTILISATION / 0.018, rel=0.1)


def test_a_queue_makes_frames_come_less_often() -> None:
    short, long = (a_pace(service_s=0.018, wait_s=wait_s)._apart_s() for wait_s in (0.02, 0.2))
    assert short == pytest.approx(0.01, rel=1e-3)
    assert long > 5 * short


def test_no_interval_is_longer_than_what_makes_somebody_another_person() -> None:
    pace = a_pace(service_s=1.0)
    due_s = [pace.next_after(1.0, connection=one) for one in range(50)]
    assert max(due_s) == 1.0 + LONGEST_S


def test_who_has_begun_goes_on_and_who_comes_then_must_wait() -> None:
    pace = a_pace(service_s=0.09)  # 20 frames a second in all: one check-in
    assert not pace.is_full_for(1, 1.0)
    pace.next_after(1.0, connection=1, before=Before.READY)
    assert not pace.is_full_for(1, 1.1)
    assert pace.is_full_for(2, 1.1)
    due_s = pace.next_after(1.1, connection=2, before=Before.READY)
    assert pace.is_full_for(2, 1.2)
    assert due_s >= 1.1 + OTHERS_S - 0.09
    assert pace.next_after(1.2, connection=1, before=Before.CHECKED_IN) < 1.2 + 2 / FRAMES_PER_S


@pytest.mark.parametrize("how", ["verdict", "left", "silent"])
def test_a_check_in_that_is_over_makes_room(how: str) -> None:
    pace, now_s = a_pace(service_s=0.09), 1.1
    pace.next_after(1.0, connection=1, before=Before.READY)
    assert pace.is_full_for(2, now_s)
    match how:
        case "verdict":
            pace.next_after(now_s, connection=1, before=Before.NOBODY)
        case "left":
            pace.left(1)
        case "silent":
            now_s += ACTIVE_S
    assert not pace.is_full_for(2, now_s)


def test_after_a_long_wait_for_the_models_the_first_one_may_begin_all_the_same() -> None:
    pace = a_pace(service_s=5.0, wait_s=30.0)
    assert not pace.is_full_for(1, 1.0)
    pace.next_after(1.0, connection=1, before=Before.READY)
    assert pace.is_full_for(2, 1.0)
