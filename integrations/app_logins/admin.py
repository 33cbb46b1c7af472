from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.lookups import OfferedLookupsOnly
from accounts.models import User
from accounts.roles import may_manage
from integrations.app_logins.models import AppLogin
from integrations.app_logins.services import end

# A log-in is ended as a whole.
admin.site.unregister([OutstandingToken, BlacklistedToken])


@admin.register(AppLogin)
class AppLoginAdmin(OfferedLookupsOnly, admin.ModelAdmin):
    list_display = ["user", "app", "made_at", "last_used_at", "expires_at", "ended_at"]
    list_filter = ["ended_at"]
    list_select_related = ["user"]
    search_fields = ["user__username", "app"]
    fields = ["user", "app", "second_factor", "made_at", "last_used_at", "expires_at", "ended_at"]
    actions = ["end_logins"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("integrations.change_applogin")

    @admin.action(description=_("End"), permissions=["end"])
    def end_logins(self, request: HttpRequest, logins: QuerySet[AppLogin]) -> None:
        own = [login for login in logins if may_manage(cast(User, request.user), login.user)]
        for login in own:
            end(login, at=timezone.now())
        self.message_user(request, _("%(count)d were ended.") % {"count": len(own)})
