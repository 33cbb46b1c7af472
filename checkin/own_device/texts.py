"""What the own device says: nearer to the eye than a kiosk, so it may say more."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from checkin.models import Outcome
from checkin.services import CheckinResult
from checkin.texts import HINT_TEXTS, OUTCOME_TITLES, OUTCOME_TONES, REASON_TITLES
from recognition.engine.dialogue import Hint
from recognition.engine.liveness.findings import Refusal

OWN_HINT_TEXTS = {
    Hint.CLOSER: _("Hold it closer"),
    Hint.BACK: _("Hold it further away"),
    Hint.CENTRE: _("Bring your face to the middle"),
    Hint.ONE_PERSON: _("Only you, please"),
}

OWN_TITLES = {Outcome.UNKNOWN: _("Not recognised as you")}

OWN_REFUSALS = {
    Outcome.UNKNOWN: _(
        "Face the light, take off what covers your face, and try again. If it still fails, go to "
        "the kiosk or register again."
    ),
    Outcome.SPOOF: _("Hold the device still, face the light, and do as you are asked."),
    Outcome.NOT_ENROLLED: _("You are not on this class list any more. Ask your lecturer."),
    Outcome.SESSION_CLOSED: _("The session was closed a moment ago. Ask your lecturer."),
    Outcome.SECOND_FACTOR: _("This session now asks for your pass too. Go to the kiosk."),
}
OWN_REASON_TEXTS: dict[str, str | Promise] = {
    Refusal.NO_ACTION: _("Go to the kiosk and show your pass, or ask your lecturer to mark you."),
    Refusal.TOO_SLOW: _(
        "Too few pictures came from your device. Try again where the network is better, or go to "
        "the kiosk."
    ),
}
OTHERWISE = _("Try again in a moment, or go to the kiosk.")


def hint_text(hint: Hint) -> str:
    return str(OWN_HINT_TEXTS.get(hint, HINT_TEXTS[hint]))


def shown(result: CheckinResult) -> dict[str, Any]:
    """The verdict as the page shows it; without a row there is no time."""
    words = {
        "outcome": result.outcome,
        "title": _title(result),
        "tone": OUTCOME_TONES.get(result.outcome, "bad"),
        "time": None,
        "message": _what_to_do(result),
    }
    row = result.attendance
    if row is None:
        return words
    moment = row.left_at or row.arrived_at
    clock = timezone.localtime(moment, row.session.course.zone) if moment else None
    return words | {
        "message": row.session.course.title,
        "time": clock.strftime("%H:%M") if clock else None,
    }


def _title(result: CheckinResult) -> str:
    own = REASON_TITLES.get(result.reason) or OWN_TITLES.get(result.outcome)
    return str(own or OUTCOME_TITLES[result.outcome])


def _what_to_do(result: CheckinResult) -> str:
    own = OWN_REASON_TEXTS.get(result.reason) or OWN_REFUSALS.get(result.outcome)
    return str(own or OTHERWISE)
