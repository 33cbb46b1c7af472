"""When each connection may send its next frame, so that frames seldom wait for a worker.

A frame that waits grows old; one that is not taken yet does not. So every connection is given a
moment of its own for the next frame, as far from those of the others as the workers need for one:
under load the rate falls, and the age does not grow.

A blink is over in a third of a second, so a check-in under way needs its frames. Where they would
not suffice for all, nobody else begins one until somebody has finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache

from django.conf import settings

#: Of the workers' time that frames may take. At 1 every frame would wait for those before it.
UTILISATION = 0.9
#: The mean wait from which on frames come less often. The longest one is some six times as long.
TOLERATED_WAIT_S = 0.03
#: The weight of the newest frame in the means.
NEWEST_SHARE = 0.05
#: No connection gets more than this many frames a second of the workers' time.
MAX_FRAMES_PER_S = 20
#: What a check-in needs, and cameras are told to send: a moment kept for a frame that comes later
#: is lost.
FRAMES_PER_S = 10
#: Frames that cost less than this may come at any time.
LEAST_APART_S = 0.001
#: A longer interval is no use: whoever is missing for a second is somebody else.
LONGEST_S = 0.8
#: Of the workers' time so much is for check-ins under way, where there are more people than that.
SHARE_UNDER_WAY = 0.8
#: Who has sent no frame for so long, is not being checked in.
ACTIVE_S = 2.0
#: Then the others are asked for a frame so often.
OTHERS_S = 0.25


class Before(Enum):
    """Who is before a camera."""

    NOBODY = auto()
    #: Somebody whose check-in may begin.
    READY = auto()
    CHECKED_IN = auto()


@dataclass
class Pace:
    """The connections of one process, and what their frames cost its workers."""

    workers: int
    _service_s: float = 0.0
    _wait_s: float = 0.0
    _due_s: dict[int, float] = field(default_factory=dict)
    _under_way: dict[int, float] = field(default_factory=dict)

    def served(self, *, service_s: float, wait_s: float) -> None:
        """Note a frame: how long a worker took for it, and how long it had waited for one."""
        self._service_s += NEWEST_SHARE * (service_s - self._service_s)
        self._wait_s += NEWEST_SHARE * (min(max(wait_s, 0.0), LONGEST_S) - self._wait_s)

    def next_after(
        self, taken_s: float, *, connection: int, before: Before = Before.CHECKED_IN
    ) -> float:
        """When the frame after the one that was taken up then is due; that moment is taken.

        >>> pace = Pace(workers=2)
        >>> for _frame in range(200):
        ...     pace.served(service_s=0.018, wait_s=0.0)
        >>> due = [pace.next_after(1.0, connection=one) for one in range(8)]
        >>> [round(later - sooner, 3) for sooner, later in zip(due[4:], due[5:])]
        [0.01, 0.01, 0.01]
        """
        begins = before is Before.READY and not self.is_full_for(connection, taken_s)
        self.left(connection)
        if begins or before is Before.CHECKED_IN:
            self._under_way[connection] = taken_s
        from_s = taken_s + self._least_s(connection, taken_s)
        due_s = max(self._first_free(from_s), taken_s + 1 / MAX_FRAMES_PER_S)
        self._due_s[connection] = due_s = min(due_s, taken_s + LONGEST_S)
        return due_s

    def is_full_for(self, connection: int, now_s: float) -> bool:
        """Whether a check-in that is not under way must wait until another one is over."""
        return connection not in self._under_way and not self._has_room(now_s)

    def left(self, connection: int) -> None:
        self._due_s.pop(connection, None)
        self._under_way.pop(connection, None)

    def _least_s(self, connection: int, now_s: float) -> float:
        if self._has_room(now_s, frames_per_s=MAX_FRAMES_PER_S):
            return 1 / MAX_FRAMES_PER_S
        return OTHERS_S if self.is_full_for(connection, now_s) else 1 / FRAMES_PER_S

    def _has_room(self, now_s: float, *, frames_per_s: float = FRAMES_PER_S) -> bool:
        """Whether one more check-in would have so many frames, as those under way have.

        The first one always has: what frames cost is learned from none but those that are served.
        """
        under_way = sum(now_s - sent_s < ACTIVE_S for sent_s in self._under_way.values())
        suffices = (under_way + 1) * frames_per_s * self._apart_s() <= SHARE_UNDER_WAY
        return suffices or (under_way == 0 and frames_per_s <= FRAMES_PER_S)

    def _first_free(self, from_s: float) -> float:
        """Time is cut into pieces that are as long as one frame takes, one for each frame."""
        apart_s = self._apart_s()
        if apart_s < LEAST_APART_S:
            return from_s
        taken = {int(due_s / apart_s) for due_s in self._due_s.values()}
        piece = int(from_s / apart_s)
        while piece in taken:
            piece += 1
        return (piece + 0.5) * apart_s

    def _apart_s(self) -> float:
        # In the mean it is nobody's loss to wait for a moment; a queue is what is more than that.
        queue_s = max(0.0, self._wait_s - TOLERATED_WAIT_S)
        return (self._service_s + queue_s) / (self.workers * UTILISATION)


@cache
def pace() -> Pace:
    """Of this process."""
    return Pace(workers=settings.RECOGNITION_WORKERS)
