"""The conversation with the person before a camera."""

from recognition.engine.dialogue.answers import ASKS_FOR_MORE
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
    "ASKS_FOR_MORE",
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
