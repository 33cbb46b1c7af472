"""What a token may be good for. What its user may see and do is asked besides."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from oauth2_provider.scopes import BaseScopes

#: People read these where they agree to an app.
SCOPES: dict[str, Promise] = {
    "roster:read": _("See students, courses, class lists, rooms and sessions"),
    "roster:write": _("Change students and class lists"),
    "attendance:read": _("See attendance"),
    "attendance:write": _("Mark attendance by hand"),
    "registrations:read": _("See who has registered a face, without pictures"),
    "registrations:write": _("Approve and reject registrations"),
    "kiosks:read": _("See kiosks and whether they work"),
    "reports:read": _("See reports on attendance"),
    "events:read": _("Follow what happens: arrivals, marks, closed sessions"),
}
ALL_SCOPES = frozenset(SCOPES)


class ScopesOfClient(BaseScopes):
    """A client may ask for what the desk lets it, and gets all of that without asking."""

    def get_all_scopes(self) -> dict[str, Any]:
        return dict(SCOPES)

    def get_available_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        if application is None:
            return list(SCOPES)
        if not hasattr(application, "client"):
            return []
        return [scope for scope in application.client.scopes if scope in SCOPES]

    def get_default_scopes(
        self, application: Any = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return self.get_available_scopes(application, request)
