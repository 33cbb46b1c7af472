"""The ends of OAuth 2.0: consent, tokens, revocation, introspection."""

from __future__ import annotations

import hashlib
from typing import Any

from allauth.core import ratelimit
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider import views
from oauth2_provider.models import AccessToken
from oauth2_provider.views.generic import ClientProtectedResourceView
from oauthlib.common import Request

from accounts.middleware import detour_of_staff


class Consent(views.AuthorizationView):
    """Somebody is asked whether an app may act for them; staff show their second factor first."""

    template_name = "integrations/oauth/consent.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return detour_of_staff(request) or super().dispatch(request, *args, **kwargs)

    def redirect(self, redirect_to: str, application: Any) -> HttpResponse:
        """Of the kind that `leave_by_link` knows. Clients have addresses with http(s) only."""
        return HttpResponseRedirect(redirect_to)


class Token(views.TokenView):
    """Secrets cannot be guessed; the limit keeps checking them from costing too much."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not ratelimit.consume(request, action="oauth_token"):
            return JsonResponse(
                {
                    "error": "temporarily_unavailable",
                    "error_description": _("Too many tokens. Keep each until it runs out."),
                },
                status=429,
                headers={"Retry-After": "60"},
            )
        response: HttpResponse = super().post(request, *args, **kwargs)
        # Of errors that come up when tokens are stored, the toolkit forgets it.
        response.headers["Content-Type"] = "application/json"
        return response


@method_decorator(csrf_exempt, name="dispatch")
class Introspection(ClientProtectedResourceView):
    """RFC 7662: a client asks after its own tokens, and hears of no others."""

    http_method_names = ["post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method != "POST":
            return self.http_method_not_allowed(request)
        client_id = self._client_id(request)
        if client_id is None:
            return JsonResponse(
                {"error": "invalid_client"},
                status=401,
                headers={"WWW-Authenticate": 'Basic realm="Rollcall"'},
            )
        return JsonResponse(
            _told_of(request.POST.get("token", ""), client_id),
            headers={"Cache-Control": "no-store"},
        )

    def _client_id(self, request: HttpRequest) -> str | None:
        """Of a client that has proved itself; public ones cannot."""
        core = self.get_oauthlib_core()
        uri, method, body, headers = core._extract_params(request)
        asked = _oauthlib_request(uri, method, body, headers)
        validator = core.server.request_validator
        if not validator.authenticate_client(asked):
            return None
        if asked.client.client_type != asked.client.CLIENT_CONFIDENTIAL:
            return None
        return str(asked.client.client_id)


def _oauthlib_request(uri: str, method: str, body: str, headers: dict[str, str]) -> Any:
    return Request(uri, method, body, headers)


def _told_of(token: str, client_id: str) -> dict[str, Any]:
    found = (
        AccessToken.objects.select_related("user", "application__client__service_account")
        .filter(
            token_checksum=hashlib.sha256(token.encode()).hexdigest(),
            application__client_id=client_id,
        )
        .first()
    )
    if found is None or not found.is_valid() or not found.application.client.is_in_use:
        return {"active": False}
    user = found.user or found.application.client.service_account
    if not user.is_active:
        return {"active": False}
    return {
        "active": True,
        "scope": found.scope,
        "client_id": client_id,
        "username": user.get_username(),
        "token_type": "Bearer",
        "exp": int(found.expires.timestamp()),
    }
