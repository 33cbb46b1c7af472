"""What happened, in its order."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

# Imported so that every kind of event is known when its names are listed below.
import checkin.events  # noqa: F401
import recognition.events  # noqa: F401
import roster.events  # noqa: F401
from accounts.events import event_kinds
from integrations.api import serializers as forms
from integrations.api.pagination import cursor_after, position_of
from integrations.api.problems import Problem
from integrations.api.views.base import ApiView
from integrations.events.selectors import (
    CursorError,
    ExpiredCursorError,
    content_of,
    events_since,
)


class EventQuery(forms.PageQuery):
    kind = serializers.ChoiceField(
        choices=sorted(kind.name for kind in event_kinds()), required=False
    )


class EventOut(serializers.Serializer):
    id = serializers.CharField(help_text="The same event has the same one, also in webhooks.")
    type = serializers.CharField()
    version = serializers.IntegerField()
    timestamp = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]


class EventPageOut(serializers.Serializer):
    results = EventOut(many=True)
    next_cursor = serializers.CharField(help_text="Keep it, and ask with it for what comes next.")
    more = serializers.BooleanField(help_text="Others wait already.")


class Events(ApiView):
    """What happened after a cursor, of what this account may see; without one from the start.

    No event is left out, and each comes once: `next_cursor` is the place to read on from, also
    days later.
    """

    read_scope = "events:read"
    read_permission = "checkin.view_attendance"
    query = EventQuery
    answers = {"GET": EventPageOut}

    def get(self, request: Request) -> Response:
        cursor = self.asked.get("cursor")
        try:
            page = events_since(
                position_of(cursor) if cursor else 0,
                user=self.user,
                kinds=[self.asked["kind"]] if "kind" in self.asked else [],
                limit=self.asked["limit"],
            )
        except ExpiredCursorError as refusal:
            raise Problem("cursor_expired", str(refusal)) from refusal
        except CursorError as refusal:
            raise Problem("out_of_range", str(refusal)) from refusal
        answer: dict[str, Any] = {
            "results": [content_of(event) for event in page.events],
            "next_cursor": cursor_after(page.cursor),
            "more": page.more,
        }
        return Response(answer)
