"""What fails over and over is logged when it begins and when it is over, and not in between."""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

#: The database is away, or busy for too long. Other errors of it are faults of ours.
DATABASE_AWAY = (OperationalError, InterfaceError)


class Outage:
    """One open connection's. It asks the database every other second, and there may be hundreds."""

    def __init__(self) -> None:
        self._kinds: set[type[BaseException]] = set()

    def note(self, whose: str, what: str, error: Exception) -> None:
        """Log ``error`` if nothing of its kind was logged since the last `end`."""
        is_away = isinstance(error, DATABASE_AWAY)
        kind = OperationalError if is_away else type(error)
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        if is_away:
            # Where it was noticed tells nothing, and the text may hold more than ids.
            why = type(error).__name__
            logger.error("%s: %s: the database does not answer (%s)", whose, what, why)
        else:
            logger.error("%s: %s", whose, what, exc_info=error)

    def end(self, whose: str) -> None:
        """It works: log so if it did not before."""
        if self._kinds:
            self._kinds.clear()
            logger.warning("%s: all is well again", whose)
