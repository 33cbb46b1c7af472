"""What the kiosk says. Sentences have at most eight words: they are read from two metres."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from checkin.models import Outcome
from recognition.engine.dialogue import Hint
from recognition.engine.liveness.findings import Refusal

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
    Hint.GLASSES: _("If you wear glasses, take them off"),
    Hint.BLINK: _("Blink once"),
    Hint.BLINK_TWICE: _("Blink twice"),
    Hint.BLINK_AGAIN: _("Blink once more"),
    Hint.BLINK_LONGER: _("Close your eyes for half a second"),
    Hint.TURN_LEFT: _("Turn your head to your left"),
    Hint.TURN_RIGHT: _("Turn your head to your right"),
    Hint.TURN_FURTHER: _("Turn your head a little further"),
    Hint.LOOK_UP: _("Raise your chin"),
    Hint.UP_FURTHER: _("Raise your chin a little further"),
    Hint.OPEN_MOUTH: _("Open your mouth"),
    Hint.OPEN_WIDER: _("Open your mouth wider"),
    Hint.CLOSE_MOUTH: _("Close your mouth again"),
    Hint.HOLD: _("Stay like this"),
    Hint.HOLD_LONGER: _("Again, and stay until told otherwise"),
    Hint.OTHER_ACTION: _("Not quite: watch for the next one"),
    Hint.SOMETHING_ELSE: _("Never mind, try something else"),
    Hint.WAIT: _("One moment"),
    Hint.NEXT: _("Next person, please"),
    Hint.SLOW: _("Slow connection: stay a moment longer"),
    Hint.SHOW_PASS: _("Show your pass"),
}

NO_SESSION = _("No session is open")

OUTCOME_TITLES = {
    Outcome.PRESENT: _("Present"),
    Outcome.LATE: _("Late"),
    Outcome.ALREADY: _("Already recorded"),
    Outcome.CHECKED_OUT: _("Checked out"),
    Outcome.SECOND_FACTOR: _("No pass seen"),
    Outcome.DENIED: _("No entry"),
    Outcome.UNKNOWN: _("Not recognised"),
    Outcome.AMBIGUOUS: _("Not sure who you are"),
    Outcome.SPOOF: _("No live face seen"),
    Outcome.NOT_ENROLLED: _("Not in this class"),
    Outcome.SESSION_CLOSED: _("Session closed"),
    Outcome.ERROR: _("Something went wrong"),
}

REFUSAL_TEXTS = {
    Outcome.SECOND_FACTOR: _("Try again with your pass at hand."),
    Outcome.DENIED: _("Please go to your lecturer."),
    Outcome.UNKNOWN: _("Try again, or ask your lecturer."),
    Outcome.AMBIGUOUS: _("Try again, or ask your lecturer."),
    Outcome.SPOOF: _("Try again and do as asked."),
    Outcome.NOT_ENROLLED: _("Ask your lecturer about the class list."),
    Outcome.SESSION_CLOSED: _("Ask your lecturer to open it."),
    Outcome.ERROR: _("Try again in a moment."),
}

#: Where a pass alone opens the session.
PASS_INSTEAD_TEXTS = {
    Outcome.UNKNOWN: _("Show your pass, or ask your lecturer."),
    Outcome.AMBIGUOUS: _("Show your pass, or ask your lecturer."),
    Outcome.SPOOF: _("Try again, or show your pass."),
}

#: For an attempt that has a reason of its own: who could not do what was asked is not accused.
REASON_TITLES: dict[str, str | Promise] = {
    Refusal.NO_ACTION: _("Another way, please"),
    Refusal.TOO_SLOW: _("The connection is too slow"),
    "look_alike": _("Another way, please"),
    "no_thresholds": _("Not set up yet"),
}
REASON_TEXTS: dict[str, str | Promise] = {
    Refusal.NO_ACTION: _("Your lecturer can mark you."),
    Refusal.TOO_SLOW: _("Try again, or ask your lecturer."),
    "look_alike": _("Your lecturer can mark you."),
    "uncertain": _("Your lecturer can mark you."),
    "no_thresholds": _("Ask your lecturer."),
}
REASON_PASS_TEXTS: dict[str, str | Promise] = {
    Refusal.NO_ACTION: _("Show your pass, or ask your lecturer."),
    Refusal.TOO_SLOW: _("Try again, or show your pass."),
}

UNDONE_TITLE = _("Undone")
UNDONE_TEXT = _("Your lecturer will look into it.")
NOT_ME_TOO_LATE = _("Too late here. Talk to your lecturer.")

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
