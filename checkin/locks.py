"""The lock that everything takes first which changes what a session records.

Arrivals, marks, appeals, class photos, alerts and the closing wait for each other, or see what the
one before has done.
"""

from __future__ import annotations

from django.db.models import QuerySet

from roster.models import ClassSession


def locked_sessions() -> QuerySet[ClassSession]:
    """Class sessions with their courses; those that are read stay locked until the commit."""
    return ClassSession.objects.select_for_update(of=("self",)).select_related("course")


def locked(session: ClassSession) -> ClassSession:
    """The session as it is now."""
    return locked_sessions().get(pk=session.pk)
