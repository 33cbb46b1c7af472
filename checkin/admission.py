"""How often each connection may send a frame, so that frames seldom wait for a worker.

A frame that waits grows old; one that is not taken yet does not. So under load every connection is
told to send less often, all of them alike: the rate falls and the age does not grow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from django.conf import settings

#: Of the workers' time that frames may take. At 1 every frame would wait for those before it.
UTILISATION = 0.8
#: Who has sent no frame for so long, sends none.
ACTIVE_S = 2.0
#: The weight of the newest frame in the means.
NEWEST_SHARE = 0.05
#: A longer interval is no use: whoever is missing for a second is somebody else.
LONGEST_S = 0.8


@dataclass
class Pace:
    """The connections of one process, and what their frames cost its workers."""

    workers: int
    _service_s: float = 0.0
    _wait_s: float = 0.0
    _sent_at_s: dict[int, float] = field(default_factory=dict)

    def served(self, connection: int, *, service_s: float, wait_s: float, now_s: float) -> None:
        """Note a frame: how long a worker took for it, and how long it had waited for one."""
        self._sent_at_s[connection] = now_s
        self._service_s += NEWEST_SHARE * (service_s - self._service_s)
        self._wait_s += NEWEST_SHARE * (max(wait_s, 0.0) - self._wait_s)

    def left(self, connection: int) -> None:
        self._sent_at_s.pop(connection, None)

    def interval_s(self, now_s: float) -> float:
        """From one frame of a connection to the next, at least.

        >>> pace = Pace(workers=2)
        >>> for connection in range(20):
        ...     pace.served(connection, service_s=0.014, wait_s=0.0, now_s=1.0)
        >>> 0.0 < pace.interval_s(1.0) < 0.2, pace.interval_s(4.0)
        (True, 0.0)
        """
        active = sum(now_s - sent_s < ACTIVE_S for sent_s in self._sent_at_s.values())
        # On the way to a worker a frame always spends a little; a queue is what is more than that.
        queue_s = max(0.0, self._wait_s - self._service_s)
        cost_s = self._service_s + queue_s
        return min(active * cost_s / (self.workers * UTILISATION), LONGEST_S)


@cache
def pace() -> Pace:
    """Of this process."""
    return Pace(workers=settings.RECOGNITION_WORKERS)
