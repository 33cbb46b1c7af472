"""Who imported what and when: one entry of the admin's log per file.

One per row would keep 20,000 names that outlive the students' own records.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from accounts.models import User
from roster.imports.report import CHANGED, NEW, SAME, Report

LISTED = 5


@dataclass(frozen=True, slots=True)
class PastImport:
    at: datetime
    by: User
    subject: str
    file_name: str
    new: int
    changed: int
    same: int
    ended: int
    bad: int
    bad_rows: str


def remember_import(
    *,
    user: User,
    model: type[Model],
    subject: str,
    file_name: str,
    report: Report,
    bad_rows: str,
) -> None:
    told = {
        "file_name": file_name[:200],
        "new": report.counts[NEW],
        "changed": report.counts[CHANGED],
        "same": report.counts[SAME],
        "ended": report.ended_count,
        "bad": len(report.bad),
        "bad_rows": bad_rows,
    }
    LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(model),
        object_repr=subject[:200],
        action_flag=CHANGE,
        change_message=json.dumps(told),
    )


def past_imports(*, user: User, model: type[Model]) -> list[PastImport]:
    """The newest imports of this user; of everybody for a superuser."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(model),
        object_id=None,
        change_message__startswith='{"file_name"',
    ).select_related("user")
    if not user.is_superuser:
        entries = entries.filter(user=user)
    return [
        PastImport(
            at=entry.action_time,
            by=entry.user,
            subject=entry.object_repr,
            **json.loads(entry.change_message),
        )
        for entry in entries[:LISTED]
    ]
