"""What a step tells the screen: the hint, the ring, and the action that is asked."""

from __future__ import annotations

from recognition.engine.dialogue.steps import Asked, Hint, LiveProbe, PassEnd, Phase, Step
from recognition.engine.dialogue.visit import Visit
from recognition.engine.liveness.actions import BLINKS, Action
from recognition.engine.liveness.findings import Refusal
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Problem

HINT_FOR_PROBLEM = {
    Problem.NO_FACE: Hint.LOOK,
    Problem.SEVERAL_FACES: Hint.ONE_PERSON,
    Problem.TOO_SMALL: Hint.CLOSER,
    Problem.TOO_LARGE: Hint.BACK,
    Problem.CUT_OFF: Hint.CENTRE,
    Problem.BLURRED: Hint.STILL,
    Problem.TOO_DARK: Hint.LIGHT,
    Problem.TOO_BRIGHT: Hint.SHADE,
    Problem.LOW_CONTRAST: Hint.LIGHT,
    Problem.TURNED: Hint.STRAIGHT,
    Problem.TILTED: Hint.STRAIGHT,
    Problem.EYES_CLOSED: Hint.OPEN_EYES,
}

HINT_FOR_ACTION = {
    Action.BLINK_ONCE: Hint.BLINK,
    Action.BLINK_TWICE: Hint.BLINK_TWICE,
    Action.TURN_LEFT: Hint.TURN_LEFT,
    Action.TURN_RIGHT: Hint.TURN_RIGHT,
    Action.LOOK_UP: Hint.LOOK_UP,
    Action.OPEN_MOUTH: Hint.OPEN_MOUTH,
}

#: What is missing of an action that stands still half-way.
HINT_HALF_WAY = {
    Action.BLINK_ONCE: Hint.BLINK,
    Action.BLINK_TWICE: Hint.BLINK_AGAIN,
    Action.TURN_LEFT: Hint.TURN_FURTHER,
    Action.TURN_RIGHT: Hint.TURN_FURTHER,
    Action.LOOK_UP: Hint.UP_FURTHER,
    Action.OPEN_MOUTH: Hint.OPEN_WIDER,
}

#: What is missing of an action of which nothing was seen for a while.
HINT_NOT_SEEN = HINT_HALF_WAY | dict.fromkeys(BLINKS, Hint.BLINK_LONGER)

#: Whoever is told one of these is doing what was asked, but not enough of it.
ASKS_FOR_MORE = frozenset(HINT_NOT_SEEN.values())

#: How far a check-in has come at the start of each phase, for the kiosk's ring.
_PROGRESS_AT = {
    Phase.SEARCHING: 0.0,
    Phase.GUIDING: 0.1,
    Phase.WAITING: 0.25,
    Phase.CHALLENGE: 0.5,
    Phase.MATCHING: 0.7,
    Phase.PASS: 0.9,
    Phase.VERDICT: 1.0,
    Phase.LEAVING: 0.0,
}

#: What a person in that phase is told unless something is in the way.
_HINT_IN = {
    Phase.SEARCHING: Hint.LOOK,
    Phase.GUIDING: Hint.STILL,
    Phase.WAITING: Hint.STILL,
    Phase.CHALLENGE: Hint.STRAIGHT,
    Phase.MATCHING: Hint.WAIT,
    Phase.PASS: Hint.SHOW_PASS,
    Phase.VERDICT: Hint.WAIT,
    Phase.LEAVING: Hint.NEXT,
}


def answer(
    phase: Phase,
    visit: Visit,
    policy: DialoguePolicy,
    *,
    hint: Hint | None = None,
    probe: LiveProbe | None = None,
    refusal: Refusal | None = None,
    ended: PassEnd | None = None,
) -> Step:
    """The step of a visit that is in that phase; without ``hint`` what the phase usually says."""
    return Step(
        phase=phase,
        hint=hint or _usual_hint(phase, visit),
        progress=_progress(phase, visit, policy),
        face=visit.face.box if visit.face else None,
        probe=probe,
        refusal=refusal,
        trace=visit.trace() if refusal else {},
        ended=ended,
        asked=_asked(visit) if phase is Phase.CHALLENGE else None,
    )


def _usual_hint(phase: Phase, visit: Visit) -> Hint:
    asked = visit.asked_in(phase)
    if asked is not None:
        return HINT_FOR_ACTION[asked]
    if phase is Phase.WAITING and visit.why_again is not None:
        return visit.why_again
    return _HINT_IN[phase]


def _progress(phase: Phase, visit: Visit, policy: DialoguePolicy) -> float:
    progress = _PROGRESS_AT[phase]
    if phase is Phase.CHALLENGE:
        matching = _PROGRESS_AT[Phase.MATCHING]
        progress += (matching - progress) * visit.running_challenge.progress
    elif phase is Phase.MATCHING:
        wanted = visit.looks * policy.frames_after
        progress += (1 - progress) * min(1.0, visit.count(Phase.MATCHING) / wanted)
    return round(progress, 2)


def _asked(visit: Visit) -> Asked:
    challenge = visit.running_challenge
    return Asked(
        action=challenge.asked,
        number=challenge.number,
        of=len(challenge.actions),
        share=round(challenge.share, 2),
    )
