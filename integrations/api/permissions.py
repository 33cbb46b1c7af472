"""Two questions before each answer: is the token for this, and may its account do this?

Which objects it may do it with is asked where they are read: each view starts from rows that
`roster.selectors` lets this user see.
"""

from __future__ import annotations

from typing import Any, cast

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.models import User
from integrations.api.caller import Caller
from integrations.api.problems import insufficient_scope, not_permitted


class MayUseView(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        if request.auth is None:
            return False
        if request.method not in view.allowed_methods:
            return True  # and is told that there is no such method
        reads = request.method in SAFE_METHODS
        scope = view.read_scope if reads else view.write_scope
        if scope and scope not in cast(Caller, request.auth).scopes:
            raise insufficient_scope(scope)
        permission = view.read_permission if reads else view.write_permission
        user = cast(User, request.user)
        if permission and not user.has_perm(permission) and not view.is_for(user):
            raise not_permitted()
        return True
