"""The page on which an account sees which apps may act for it, and ends that."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from integrations.app_logins.models import AppLogin
from integrations.app_logins.selectors import open_logins
from integrations.app_logins.services import end
from integrations.oauth.selectors import clients_used_by, connected_apps
from integrations.oauth.services import disconnect


@require_safe
@never_cache
@login_required
def own_apps(request: HttpRequest) -> HttpResponse:
    user, now = cast(User, request.user), timezone.now()
    context = {"apps": connected_apps(user, at=now), "logins": open_logins(user, at=now)}
    return render(request, "integrations/own_apps.html", context)


@require_POST
@login_required
def disconnect_own_app(request: HttpRequest, pk: int) -> HttpResponse:
    user = cast(User, request.user)
    client = get_object_or_404(clients_used_by(user), pk=pk)
    disconnect(client, user=user)
    done = _("“%(app)s” is disconnected. It sees and changes nothing for you any more.")
    messages.success(request, done % {"app": client.name})
    return redirect("own_apps")


@require_POST
@login_required
def end_own_login(request: HttpRequest, pk: int) -> HttpResponse:
    login = get_object_or_404(AppLogin, user=request.user, pk=pk)
    end(login, at=timezone.now())
    done = _("“%(app)s” is logged out. To be used again it needs your password.")
    messages.success(request, done % {"app": login.app})
    return redirect("own_apps")
