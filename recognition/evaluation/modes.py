"""The questions that `manage.py evaluate` can ask of a folder of faces."""

from __future__ import annotations

from recognition.evaluation import (
    class_photos,
    comparison,
    doubles,
    identification,
    mistakes,
    verification,
)
from recognition.evaluation.options import Mode

IDENTIFICATION = Mode(
    "identification", "search everybody (the default)", identification.measure, identification.lines
)

#: Beside the default, each by the option of its name.
MODES = (
    Mode("compare", "what each part helps", comparison.measure, comparison.lines),
    Mode(
        "verification",
        "compare with one person at a time",
        verification.measure,
        verification.lines,
    ),
    Mode("doubles", "look for people with two accounts", doubles.measure, doubles.lines),
    Mode(
        "class-photos",
        "take attendance from made class photos",
        class_photos.measure,
        class_photos.lines,
    ),
    Mode("mistakes", "see whom a “not me” holds back", mistakes.measure, mistakes.lines),
)
