"""A filter by class session, for links that name one."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.lookups import MAX_KEY_DIGITS
from accounts.models import User
from roster.models import ClassSession
from roster.selectors import courses_of

NAMED_SESSIONS = 3


class SessionFilter(admin.SimpleListFilter):
    """Shown only while it is in use: a choice among all sessions would be endless.

    The parameter holds primary keys, separated by commas.
    """

    title = _("class session")
    parameter_name = "session"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if not self.value():
            return []
        own = courses_of(cast(User, request.user))
        sessions = ClassSession.objects.filter(pk__in=self._pks(), course__in=own)
        return [(str(self.value()), self._title_of(list(sessions.select_related("course"))))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(session__in=self._pks()) if self.value() else queryset

    def _pks(self) -> list[int]:
        keys = str(self.value()).split(",")
        return [int(key) for key in keys if key.isdecimal() and len(key) <= MAX_KEY_DIGITS]

    def _title_of(self, sessions: list[ClassSession]) -> str:
        if len(sessions) > NAMED_SESSIONS:
            return str(_("%(count)d sessions") % {"count": len(sessions)})
        return ", ".join(str(session) for session in sessions) or "–"
