"""Why a face was not taken for a living person."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Values are stable: they are stored."""

    NO_BLINK = "no_blink"
    NO_ACTION = "no_action"
    NO_SIGN_OF_LIFE = "no_sign_of_life"
    WRONG_ACTION = "wrong_action"
    IDENTITY_CHANGED = "identity_changed"
    GAP = "gap"
    JUMP = "jump"
    REPEATED_FRAMES = "repeated_frames"
    OUT_OF_ORDER = "out_of_order"
    TOO_SLOW = "too_slow"
    FLAT = "flat"
    IMPLAUSIBLE_BLINK = "implausible_blink"
    SCREEN = "screen"
    SPOOF_MODEL = "spoof_model"


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that a face did not stand: its figure, and the limit that it passed.

    ``check`` is the name under which the figure stands in `PassiveWatch.trace`.
    """

    reason: Refusal
    check: str
    figure: float
    limit: float
