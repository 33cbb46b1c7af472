"""Who calls."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from integrations.api import serializers as forms
from integrations.api.views.base import ApiView


class Me(ApiView):
    """The account, the client and what the token is good for."""

    answers = {"GET": forms.MeOut}

    def get(self, request: Request) -> Response:
        me = {
            "username": self.user.username,
            "client": self.caller.name,
            "roles": self.user.groups.order_by("name").values_list("name", flat=True),
            "scopes": sorted(self.caller.scopes),
            "student": getattr(self.user, "student", None),
        }
        return Response(self.shown(forms.MeOut, me))
