"""Whether this process may get requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import close_old_connections

from integrations.operations.findings import (
    Finding,
    State,
    database,
    disk,
    error,
    migrations,
    shared_memory,
    workers,
)

logger = logging.getLogger(__name__)

PARTS: dict[str, Callable[[], Finding]] = {
    "database": database,
    "migrations": migrations,
    "redis": shared_memory,
    "workers": workers,
    "disk": disk,
}
#: Whoever asks more often gets the last answer, so that asking cannot wear the site out.
FRESH_S = 2.0
#: Who asks while the last question hangs is not let wait behind it.
PATIENCE_S = 5.0


class Readiness:
    """The last answers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: list[Finding] = []
        self._found_at_s = 0.0

    def findings(self) -> list[Finding]:
        if not self._lock.acquire(timeout=PATIENCE_S):
            return [error("site", "A part does not answer.", "Ask again; see the log.")]
        try:
            if not self._found or time.monotonic() - self._found_at_s > FRESH_S:
                self._found = [_ask(part, question) for part, question in PARTS.items()]
                self._found_at_s = time.monotonic()
            return self._found
        finally:
            self._lock.release()

    def forget(self) -> None:
        self._found = []


readiness = Readiness()


def is_ready(found: list[Finding]) -> bool:
    return not any(finding.state is State.ERROR for finding in found)


def _ask(part: str, question: Callable[[], Finding]) -> Finding:
    try:
        return question()
    except Exception as failure:
        logger.exception("the part %s could not be asked", part)
        close_old_connections()
        what = f"It could not be asked: {type(failure).__name__}."
        return error(part, what, "See the log.")
