"""What the kiosk says. Sentences have at most eight words: they are read from two metres."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from checkin.models import Outcome
from recognition.engine.dialogue import Hint

HINT_TEXTS = {
    Hint.LOOK: _("Look into the camera"),
    Hint.CLOSER: _("Come closer"),
    Hint.BACK: _("Move back a little"),
    Hint.CENTRE: _("Move to the middle"),
    Hint.LIGHT: _("Turn towards the light"),
    Hint.SHADE: _("Too bright: turn from the light"),
    Hint.STILL: _("Hold still"),
    Hint.STRAIGHT: _("Look straight ahead"),
    Hint.ONE_PERSON: _("One person, please"),
    Hint.OPEN_EYES: _("Open your eyes"),
    Hint.BLINK: _("Blink once"),
    Hint.WAIT: _("One moment"),
    Hint.NEXT: _("Next person, please"),
}

NO_SESSION = _("No session is open")

OUTCOME_TITLES = {
    Outcome.PRESENT: _("Present"),
    Outcome.LATE: _("Late"),
    Outcome.ALREADY: _("Already recorded"),
    Outcome.CHECKED_OUT: _("Checked out"),
    Outcome.SECOND_FACTOR: _("Show your pass"),
    Outcome.UNKNOWN: _("Not recognised"),
    Outcome.AMBIGUOUS: _("Not sure who you are"),
    Outcome.SPOOF: _("No live face seen"),
    Outcome.NOT_ENROLLED: _("Not in this class"),
    Outcome.SESSION_CLOSED: _("Session closed"),
    Outcome.ERROR: _("Something went wrong"),
}

REFUSAL_TEXTS = {
    Outcome.SECOND_FACTOR: _("Hold your pass before the camera."),
    Outcome.UNKNOWN: _("Try again, or ask your lecturer."),
    Outcome.AMBIGUOUS: _("Try again, or ask your lecturer."),
    Outcome.SPOOF: _("Try again and blink when asked."),
    Outcome.NOT_ENROLLED: _("Ask your lecturer about the class list."),
    Outcome.SESSION_CLOSED: _("Ask your lecturer to open it."),
    Outcome.ERROR: _("Try again in a moment."),
}

OUTCOME_TONES = {
    Outcome.PRESENT: "good",
    Outcome.LATE: "notice",
    Outcome.ALREADY: "notice",
    Outcome.CHECKED_OUT: "good",
    Outcome.SECOND_FACTOR: "notice",
}


def shown_name(name: str, *, short: bool) -> str:
    """A name as everybody at the door may read it.

    >>> shown_name("Eileen Marie Collins", short=True)
    'Eileen C.'
    >>> shown_name("王小明", short=True)
    '王…'
    """
    if not short:
        return name
    first, *rest = name.split() or [""]
    return f"{first} {rest[-1][0]}." if rest else f"{first[:1]}…"
