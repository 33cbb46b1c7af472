"""Questions of the kiosk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count, Q
from django.utils import timezone

from checkin.models import Attendance, Kiosk
from checkin.services import hash_token
from roster.models import ClassSession
from roster.selectors import open_sessions


def kiosk_with_token(token: str) -> Kiosk | None:
    """The kiosk whose token this is, revoked or not."""
    is_its_token = opened_by(hash_token(token), timezone.now())
    return Kiosk.objects.select_related("room").filter(is_its_token).first()


def opened_by(token_hash: str, at: datetime) -> Q:
    """Kiosks whose token this is, or was before the last roll and still is for a while."""
    return Q(token_hash=token_hash) | Q(old_token_hash=token_hash, old_token_until__gt=at)


def open_sessions_for(kiosk: Kiosk, at: datetime) -> list[ClassSession]:
    """The sessions that take attendance now in the kiosk's room or for its courses."""
    here = Q(course__in=kiosk.courses.values("pk"))
    if kiosk.room_id is not None:
        here |= Q(room=kiosk.room_id)
    return open_sessions(at, among=ClassSession.objects.filter(here))


def arrivals_in(sessions: Sequence[ClassSession]) -> dict[int, int]:
    """How many have arrived, by the session's primary key."""
    counted = (
        Attendance.objects.filter(
            session__in=sessions,
            status__in=[Attendance.Status.PRESENT, Attendance.Status.LATE],
        )
        .values("session")
        .annotate(arrived=Count("pk"))
        .order_by()
    )
    return {row["session"]: row["arrived"] for row in counted}
