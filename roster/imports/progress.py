"""How far a long import is, for the page that waits for it.

It goes through the cache, since the database shows nothing of a transaction before its end.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.core.cache import cache
from django.utils.translation import gettext as _

from accounts.models import User

#: Takes a step, how many rows are done and of how many.
Progress = Callable[[str, int, int], None]

CHECKING, WRITING = "checking", "writing"
KEPT_S = 600


def told_to(user: User, job: UUID) -> Progress:
    """A progress that the same user can ask for under this id."""

    def tell(step: str, done: int, total: int) -> None:
        cache.set(_key(user, job), (step, done, total), KEPT_S)

    return tell


def told_to_nobody(step: str, done: int, total: int) -> None:
    pass


def progress_of(user: User, job: UUID) -> dict[str, int | str]:
    """Empty as long as the file itself is read."""
    step, done, total = cache.get(_key(user, job)) or ("", 0, 0)
    if not total:
        return {}
    sentence = (
        _("%(done)s of %(total)s rows written")
        if step == WRITING
        else _("%(done)s of %(total)s rows checked")
    )
    return {
        "done": done,
        "total": total,
        "sentence": sentence % {"done": f"{done:,}", "total": f"{total:,}"},
    }


def _key(user: User, job: UUID) -> str:
    return f"roster-import-{user.pk}-{job.hex}"
