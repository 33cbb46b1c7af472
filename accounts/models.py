"""The person who signs in."""

from __future__ import annotations

import re

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

#: Names are given and family name in European order; in these scripts the family name comes first.
FAMILY_NAME_FIRST = re.compile(r"^[\u3400-\u9fff\uac00-\ud7af\u3040-\u30ff]+$")


def languages() -> list[tuple[str, str]]:
    """Those that the site speaks, each by its own name; a new one needs no migration."""
    return [(code, get_language_info(code)["name_local"]) for code, _name in settings.LANGUAGES]


class User(AbstractUser):
    """A login. Who is a lecturer or a registrar is told by the groups of `accounts.roles`."""

    language = models.CharField(
        _("language"),
        max_length=10,
        choices=languages,
        blank=True,
        help_text=_("Of mails, and of the pages after a login."),
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                condition=~models.Q(email=""),
                name="accounts_user_email_unique",
                violation_error_message=_("Another account uses this e-mail address."),
            )
        ]

    def get_full_name(self) -> str:
        """As its owner writes it: “陈伟”, “Wei Chen”."""
        if FAMILY_NAME_FIRST.match(self.first_name) and FAMILY_NAME_FIRST.match(self.last_name):
            return self.last_name + self.first_name
        return super().get_full_name()
