"""Staff reach the desk with two factors only, and other sites are reached by a link."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.selectors import has_second_factor

View = Callable[[HttpRequest], HttpResponse]


def second_factor_for_staff(get_response: View) -> View:
    def middleware(request: HttpRequest) -> HttpResponse:
        return _detour(request) or get_response(request)

    return middleware


def _detour(request: HttpRequest) -> HttpResponse | None:
    if not request.path.startswith(reverse("admin:index")):
        return None
    return detour_of_staff(request)


def detour_of_staff(request: HttpRequest) -> HttpResponse | None:
    """Where staff have to go before what needs two factors, if anywhere."""
    if not settings.STAFF_SECOND_FACTOR:
        return None
    if not isinstance(request.user, User) or not request.user.is_staff:
        return None
    if not has_second_factor(request.user):
        messages.info(request, _("The desk needs a second factor. Set it up once, here."))
        return redirect("mfa_index")
    if not showed_second_factor(request):
        has_app = is_mfa_enabled(request.user, [Authenticator.Type.TOTP])
        page = reverse("mfa_reauthenticate" if has_app else "mfa_reauthenticate_webauthn")
        back = urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})
        return redirect(f"{page}?{back}")
    return None


def showed_second_factor(request: HttpRequest) -> bool:
    """Not true of a session from before the second factor was set up on another device."""
    return any(
        record["method"] == "mfa" for record in get_authentication_records(request, request.user)
    )


def leave_by_link(get_response: View) -> View:
    """Lets a form lead to another site, whose redirects our form-action does not know.

    Browsers hold the policy of the form against each address on the way, also against those
    to which the other site passes on.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.method == "POST" and isinstance(response, HttpResponseRedirect):
            host = urlsplit(response.url).netloc
            if host not in ("", request.get_host()):
                return render(
                    request, "socialaccount/leaving.html", {"url": response.url, "host": host}
                )
        return response

    return middleware
