"""Addresses of Apprise: which are taken, how they are shown, and how a message goes there."""

from __future__ import annotations

import json
import subprocess
import sys

import apprise
from django.conf import settings
from django.utils.translation import gettext as _

from integrations.targets import (
    NotReachedError,
    TargetRefusedError,
    is_allowed_by_name,
    require_public,
    resolved,
)

#: Longer than Apprise takes with its own limits for one message.
ALTOGETHER_S = 30

#: Services whose host is fixed.
SERVICES = frozenset(
    {
        "discord", "gchat", "msteams", "pover", "ses", "sns", "slack",
        "tgram", "twilio", "webex", "workflows", "wxteams", "zulip",
    }
)  # fmt: skip
#: Schemes that name a host. With an s behind them they are encrypted.
PLAIN = frozenset(
    {"form", "gotify", "json", "mailto", "matrix", "mmost", "mqtt", "ntfy", "rocket", "xml"}
)
ENCRYPTED = frozenset(f"{scheme}s" for scheme in PLAIN)
ALLOWED = SERVICES | ENCRYPTED | PLAIN


class ChannelRefusedError(Exception):
    """Nothing is sent there; the text is for the person and holds nothing of the address."""


def shown(url: str) -> str:
    """The address with its secrets masked, like ``slack://T...2/A...D/T...Q/general``."""
    return str(_parsed(url).url(privacy=True)).partition("?")[0][:200]


def scheme_of(url: str) -> str:
    return url.partition("://")[0].strip().lower()


def check(url: str) -> None:
    """
    Raises:
        ChannelRefusedError: no service of the list, incomplete, or in the own network.
    """
    scheme = scheme_of(url)
    if scheme not in ALLOWED:
        raise ChannelRefusedError(
            _("Got “%(scheme)s”, expected one of %(schemes)s.")
            % {"scheme": scheme[:20], "schemes": ", ".join(sorted(ALLOWED))}
        )
    parsed = _parsed(url)
    host = str(parsed.host or "")
    if scheme in SERVICES:
        return
    if scheme in PLAIN and not (settings.DEBUG or is_allowed_by_name(host)):
        raise ChannelRefusedError(
            _("“%(scheme)s” is not encrypted. Use %(scheme)ss instead.") % {"scheme": scheme}
        )
    # Mail goes to another host than its addresses say. Without any it is a service of its own.
    for one in {host, str(getattr(parsed, "smtp_host", "") or "")} - {""}:
        _require_public(one)


def _require_public(host: str) -> None:
    try:
        for address in resolved(host, 0):
            require_public(host, address)
    except (TargetRefusedError, NotReachedError) as error:
        raise ChannelRefusedError(str(error)) from error


def _parsed(url: str) -> apprise.NotifyBase:
    found = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if found is None:
        raise ChannelRefusedError(
            _(
                "This address is not complete. Its parts stand at "
                "https://github.com/caronc/apprise/wiki for each service."
            )
        )
    return found


def send(url: str, *, title: str, body: str) -> None:
    """Send a message, from a process that can reach the public network only.

    Raises:
        ChannelRefusedError: nothing may be sent there.
        NotReachedError: the service did not take it, or not in time.
    """
    check(url)
    asked = {
        "url": url,
        "title": title,
        "body": body,
        "allowed": settings.WEBHOOK_ALLOWED_HOSTS,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "integrations.notifications.sender"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=ALTOGETHER_S,
            cwd=settings.BASE_DIR,
            check=True,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise NotReachedError(_("No answer in time.")) from error
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        raise NotReachedError(_("The message could not be sent.")) from error
    if not answer["sent"]:
        raise NotReachedError(answer["said"] or _("The service did not take the message."))
