"""What we do differently from allauth: who is asked what, and what is written down."""

from __future__ import annotations

import logging
import time
from typing import Any

from allauth.account import app_settings as account_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.keyring import keyring
from accounts.language import greet, known_language, spoken
from accounts.models import User

logger = logging.getLogger(__name__)

# Ways to log in that show who it is as well as the password does.
FRESH = ("password", "mfa", "socialaccount")


class AccountAdapter(DefaultAccountAdapter):
    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        return greet(request, user, super().post_login(request, user, **kwargs))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the language of the account; who never chose reads what the page is written in."""
        user = context.get("user")
        own = known_language(user.language) if isinstance(user, User) else ""
        with translation.override(own or spoken()):
            super().send_mail(template_prefix, email, context)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Staff come to their desk, everybody else to their own page."""
        if isinstance(request.user, User) and request.user.is_staff:
            return resolve_url("admin:index")
        return resolve_url(settings.LOGIN_REDIRECT_URL)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return resolve_url("me")

    def get_login_stages(self) -> list[str]:
        ours = "accounts.adapters.VerifyOwnSignUp"
        return [
            ours if stage == "allauth.account.stages.EmailVerificationStage" else stage
            for stage in super().get_login_stages()
        ]

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """As in allauth, which does not know of addresses that an administrator entered."""
        others = User.objects.exclude(pk=email_address.user_id)
        if others.filter(email__iexact=email_address.email).exists():
            self.add_message(
                request,
                messages.ERROR,
                "account/messages/email_confirmation_failed.txt",
                {"email": email_address.email},
            )
            return False
        with transaction.atomic():
            return super().confirm_email(request, email_address)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Whoever has only just logged in is not asked for the password once more."""
        if not super().is_reauthentication_required(app=app, **kwargs):
            return False
        since_s = time.time() - account_settings.REAUTHENTICATION_TIMEOUT
        return not any(
            record["at"] > since_s and record["method"] in FRESH
            for record in get_authentication_records(self.request, self.request.user)
        )

    def get_reauthentication_methods(
        self, user: AbstractBaseUser | AnonymousUser
    ) -> list[dict[str, Any]]:
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        for method in methods:
            if method["id"] == "mfa_reauthenticate:webauthn":
                method["description"] = _("Use your passkey")
        return methods

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError:
            logger.warning("login refused, too many attempts: account %s", _known(credentials))
            raise

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        logger.warning("login failed: account %s", _known(credentials))


class VerifyOwnSignUp(EmailVerificationStage):
    def handle(self) -> tuple[HttpResponse | None, bool]:
        """Ask those who signed up themselves, whose primary address is on record from then on.

        Nobody signed up an account without that record: an administrator made it, for
        somebody they know, and with an address they gave themselves or none.
        """
        if self.login.user and not EmailAddress.objects.get_primary(self.login.user):
            return None, True
        return super().handle()


class SecondFactorAdapter(DefaultMFAAdapter):
    """Keeps the secrets of authenticator apps encrypted, as the templates are."""

    def encrypt(self, text: str) -> str:
        return keyring().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return keyring().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: AbstractBaseUser) -> str:
        return user.get_username()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return _("Device %(number)s") % {"number": number}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": settings.MFA_TOTP_ISSUER}


def _known(credentials: dict[str, Any]) -> str:
    """The id of the account meant. What was typed is a name, or even a password."""
    typed = [value for name in ("username", "email") if (value := credentials.get(name))]
    is_meant = Q(pk__in=[])
    for login in typed:
        is_meant |= Q(username__iexact=login) | Q(email__iexact=login)
    pk = User.objects.filter(is_meant).values_list("pk", flat=True).first()
    return "unknown" if pk is None else str(pk)
