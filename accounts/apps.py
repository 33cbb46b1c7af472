import logging
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People who sign in")

    def ready(self) -> None:
        from allauth.mfa import signals
        from allauth.socialaccount import models as social
        from django.contrib import admin
        from post_office import models as mail

        post_migrate.connect(_sync_roles, dispatch_uid="accounts.sync_roles")
        signals.authenticator_added.connect(_showed_second_factor, dispatch_uid="accounts.shown")
        signals.authentication_failed.connect(_log_wrong_code, dispatch_uid="accounts.wrong_code")
        # Mails hold links that open accounts; apps and tokens are secrets themselves.
        admin.site.unregister([mail.Email, mail.Log, mail.EmailTemplate, mail.Attachment])
        admin.site.unregister([social.SocialApp, social.SocialToken, social.SocialAccount])


def _sync_roles(**kwargs: Any) -> None:
    """Permissions come into being after each app's migrations, so roles are set after each."""
    from accounts.roles import sync_roles

    sync_roles()


def _showed_second_factor(**kwargs: Any) -> None:
    """Setting it up took the thing itself, so that this session is not asked for it again."""
    from allauth.account.internal.flows.login import record_authentication

    authenticator = kwargs["authenticator"]
    if authenticator.type != authenticator.Type.RECOVERY_CODES:
        record_authentication(kwargs["request"], kwargs["user"], "mfa", type=authenticator.type)


def _log_wrong_code(**kwargs: Any) -> None:
    logger.warning("wrong code of the second factor: account %s", kwargs["user"].pk)
