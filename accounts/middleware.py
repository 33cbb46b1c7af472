"""Staff reach the desk with two factors only."""

from __future__ import annotations

from collections.abc import Callable

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.models import User

View = Callable[[HttpRequest], HttpResponse]


def second_factor_for_staff(get_response: View) -> View:
    def middleware(request: HttpRequest) -> HttpResponse:
        return _detour(request) or get_response(request)

    return middleware


def _detour(request: HttpRequest) -> HttpResponse | None:
    """Where somebody has to go before the desk, if anywhere."""
    if not settings.STAFF_SECOND_FACTOR or not request.path.startswith(reverse("admin:index")):
        return None
    if not isinstance(request.user, User) or not request.user.is_staff:
        return None
    if not is_mfa_enabled(request.user, [Authenticator.Type.TOTP]):
        messages.info(request, _("The desk needs a second factor. Set it up once, here."))
        return redirect("mfa_activate_totp")
    if not _showed_second_factor(request):
        back = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})
        return redirect(f"{reverse('mfa_reauthenticate')}?{back}")
    return None


def _showed_second_factor(request: HttpRequest) -> bool:
    """Not true of a session from before the second factor was set up on another device."""
    return any(
        record["method"] == "mfa" for record in get_authentication_records(request, request.user)
    )
