"""Codes that are held before the camera."""

from __future__ import annotations


class CodesInView:
    """Tells a code that has just come from one that is held up still.

    One frame in four misses a code that is there, so a code has gone only after a while.
    """

    def __init__(self, gone_ms: float) -> None:
        self._gone_ms = gone_ms
        self._seen_at_ms: dict[str, float] = {}

    def newly(self, code: str | None, at_ms: float) -> str | None:
        """The code of this frame if it was not in view before."""
        self._seen_at_ms = {
            one: seen_at_ms
            for one, seen_at_ms in self._seen_at_ms.items()
            if at_ms - seen_at_ms < self._gone_ms
        }
        new = code if code not in self._seen_at_ms else None
        if code is not None:
            self._seen_at_ms[code] = at_ms
        return new

    def nobody_looked_until(self, at_ms: float) -> None:
        """A code that was in view when looking stopped may be there still."""
        self._seen_at_ms = dict.fromkeys(self._seen_at_ms, at_ms)
