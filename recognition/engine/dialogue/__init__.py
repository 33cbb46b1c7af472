"""The conversation with the person before a camera."""

from recognition.engine.dialogue.check_in import CheckInDialogue
from recognition.engine.dialogue.looking import SEARCH_EVERY
from recognition.engine.dialogue.steps import (
    AntiSpoofing,
    Asked,
    Hint,
    LiveProbe,
    PassEnd,
    Phase,
    Step,
)

__all__ = [
    "SEARCH_EVERY",
    "AntiSpoofing",
    "Asked",
    "CheckInDialogue",
    "Hint",
    "LiveProbe",
    "PassEnd",
    "Phase",
    "Step",
]
