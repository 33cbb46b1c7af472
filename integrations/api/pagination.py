"""Pages by cursor: in the order of ids, so that no row comes twice or is left out meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

DEFAULT_LIMIT = 100
MAX_LIMIT = 500
#: Every text of this form is a cursor, and no other.
CURSOR_PATTERN = r"^c[0-9a-f]{1,15}$"


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    next_cursor: str | None


def page_of(rows: QuerySet[Any], *, cursor: str, limit: int) -> Page:
    """``limit`` rows after the cursor, and the cursor of the next page if there is one."""
    ordered = rows.order_by("pk")
    if cursor:
        ordered = ordered.filter(pk__gt=position_of(cursor))
    found = list(ordered[: limit + 1])
    kept = found[:limit]
    return Page(kept, cursor_after(kept[-1].pk) if len(found) > limit else None)


def cursor_after(pk: int) -> str:
    return f"c{pk:x}"


def position_of(cursor: str) -> int:
    return int(cursor[1:], 16)
