"""Signing in through the university's accounts, Google or Microsoft."""

from __future__ import annotations

import logging
from typing import Any

import requests
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount import app_settings
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from accounts.models import User

logger = logging.getLogger(__name__)


class ProviderAdapter(DefaultSocialAccountAdapter):
    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        for address in sociallogin.email_addresses:
            # Some providers send the word "false".
            address.verified = address.verified is True
        is_new = not sociallogin.is_existing
        if is_new and sociallogin.state.get("process") == AuthProcess.LOGIN:
            self._leave_accounts_alone(request, sociallogin)

    def _leave_accounts_alone(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Say it openly to the owner of the address; others learn nothing, but by mail."""
        for address in sociallogin.email_addresses:
            if address.verified and User.objects.filter(email__iexact=address.email).exists():
                raise ImmediateHttpResponse(_ask_to_connect(request, sociallogin))

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        why = type(exception).__name__ if exception else error
        logger.warning("sign-in through %s failed: %s", provider.sub_id, why)

    def get_requests_session(self) -> requests.Session:
        return ProviderSession()


class ProviderSession(requests.Session):
    """Ends in our page when the provider does not answer, which allauth lets pass at first."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", app_settings.REQUESTS_TIMEOUT)
        try:
            return super().request(*args, **kwargs)
        except requests.RequestException as error:
            logger.warning("a sign-in provider does not answer: %s", type(error).__name__)
            page = render(context.request, "socialaccount/authentication_error.html", status=503)
            raise ImmediateHttpResponse(page) from error


def _ask_to_connect(request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
    messages.info(
        request,
        _(
            "An account with your address exists already. Log in as before; then you can "
            "connect %(provider)s with it."
        )
        % {"provider": sociallogin.provider.name},
    )
    back = urlencode({REDIRECT_FIELD_NAME: reverse("socialaccount_connections")})
    return redirect(f"{reverse('account_login')}?{back}")
