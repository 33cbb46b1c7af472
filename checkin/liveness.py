"""What a course asks as proof of life, and what becomes of an attempt that did not give it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from checkin.models import Outcome
from recognition.engine.dialogue import Step
from recognition.engine.liveness.actions import Level, strictest
from recognition.engine.liveness.findings import Refusal
from roster.models import ClassSession

#: Nobody who is refused for these has tried to deceive: a pass helps, and nobody is alarmed.
HARMLESS = (Refusal.NO_ACTION, Refusal.TOO_SLOW)


def level_for(sessions: Iterable[ClassSession]) -> Level:
    """What is asked where these sessions are open: nobody knows yet to which one somebody comes."""
    return strictest([Level(session.course.liveness) for session in sessions])


def outcome_of(refusal: Refusal) -> Outcome:
    """What an attempt that gave no proof of life is recorded as."""
    return Outcome.SECOND_FACTOR if refusal in HARMLESS else Outcome.SPOOF


def asked_in(step: Step) -> dict[str, Any] | None:
    """The action that is asked just now, as the `state` message tells it."""
    if step.asked is None:
        return None
    asked = step.asked
    return {
        "action": asked.action,
        "number": asked.number,
        "of": asked.of,
        "share": asked.share,
    }
