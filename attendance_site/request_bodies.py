"""Forms are parsed once, by Django, and not in memory."""

from __future__ import annotations

from functools import partialmethod

from daphne.http_protocol import WebRequest


def leave_forms_to_django() -> None:
    """Keep Twisted, on which Daphne stands, from parsing forms that nobody asks it for.

    It takes 13 times the size of an upload in memory for that, and no kiosk is served meanwhile.
    Daphne has no setting for Twisted's switch.
    """
    WebRequest.__init__ = partialmethod(WebRequest.__init__, parsePOSTFormSubmission=False)
