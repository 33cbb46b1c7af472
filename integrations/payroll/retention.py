"""How long it is known what was sent where."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from checkin.retention import Expired
from integrations.payroll.models import ExportRun


def expired(at: datetime) -> Iterator[Expired]:
    days = settings.RECORD_RETENTION_DAYS
    yield Expired(
        "runs of scheduled exports",
        days,
        ExportRun.objects.filter(
            created_at__lt=at - timedelta(days=days), state__in=["delivered", "failed"]
        ),
    )
