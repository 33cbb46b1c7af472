"""What a dialogue says: the phase it is in, what a person is asked to do, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from recognition.engine.liveness.actions import Action
from recognition.engine.liveness.findings import Refusal
from recognition.engine.types import Box, Embedding


class Phase(StrEnum):
    SEARCHING = "searching"
    GUIDING = "guiding"
    WAITING = "waiting"
    CHALLENGE = "challenge"
    MATCHING = "matching"
    PASS = "pass"  # noqa: S105 -- no password
    VERDICT = "verdict"
    LEAVING = "leaving"


class Hint(StrEnum):
    """What the person is asked to do. Values are stable: icons and texts hang on them."""

    LOOK = "look"
    CLOSER = "closer"
    BACK = "back"
    CENTRE = "centre"
    LIGHT = "light"
    SHADE = "shade"
    STILL = "still"
    STRAIGHT = "straight"
    ONE_PERSON = "one_person"
    OPEN_EYES = "open_eyes"
    GLASSES = "glasses"
    BLINK = "blink"
    BLINK_TWICE = "blink_twice"
    BLINK_AGAIN = "blink_again"
    BLINK_LONGER = "blink_longer"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    TURN_FURTHER = "turn_further"
    LOOK_UP = "look_up"
    UP_FURTHER = "up_further"
    OPEN_MOUTH = "open_mouth"
    OPEN_WIDER = "open_wider"
    CLOSE_MOUTH = "close_mouth"
    HOLD = "hold"
    HOLD_LONGER = "hold_longer"
    OTHER_ACTION = "other_action"
    SOMETHING_ELSE = "something_else"
    WAIT = "wait"
    NEXT = "next"
    SLOW = "slow"
    SHOW_PASS = "show_pass"  # noqa: S105


class PassEnd(StrEnum):
    """Why a pass is awaited no longer. Values are stable: they are stored."""

    TIMEOUT = "no_pass"
    OTHER_FACE = "other_face"


class AntiSpoofing(StrEnum):
    """Whether the anti-spoofing model is asked, and whether it decides. Values are settings."""

    OFF = "off"
    ADVISORY = "advisory"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class LiveProbe:
    """A face that has shown itself alive: the fused embedding, ``(d,)``, and how it was shown.

    ``previous`` is the same by the model that is being replaced, where two serve.
    """

    embedding: Embedding
    trace: dict[str, Any]
    previous: Embedding | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The action that is asked just now: which of how many, and how much of it is done, 0 to 1.

    ``action`` is None on the way back to rest: the action of that number is done.
    """

    action: Action | None
    number: int
    of: int
    share: float


@dataclass(frozen=True, slots=True)
class Step:
    """The answer to one frame.

    At most one of ``probe``, ``refusal`` and ``ended`` is set; the caller then decides the outcome
    and calls `CheckInDialogue.conclude`, or for a probe `CheckInDialogue.ask_for_pass` where it
    needs one and `CheckInDialogue.look_again` where it does not suffice. After
    ``PassEnd.OTHER_FACE`` the next person is served already, and nothing is called.

    ``code`` is one that has just come before the camera. The caller concludes if it decides on it,
    and says what is wrong if not; a code that is held up still is not told again.
    """

    phase: Phase
    hint: Hint
    progress: float
    face: Box | None = None
    probe: LiveProbe | None = None
    refusal: Refusal | None = None
    trace: dict[str, Any] = field(default_factory=dict)
    code: str | None = None
    ended: PassEnd | None = None
    asked: Asked | None = None
