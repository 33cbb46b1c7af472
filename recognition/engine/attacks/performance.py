"""How people move when they are asked to: reaction times, blinks, turns, and the rest between."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recognition.engine.liveness.actions import Action
from recognition.engine.synthesis import blink_closure

#: From seeing the prompt to the first movement.
REACTION_MS = (250.0, 900.0)
#: For how long who is not told otherwise stays where a head was turned to.
HOLD_MS = (300.0, 900.0)
_BLINK_MS = (170.0, 400.0)  # asked for; spontaneous ones are shorter
_SPONTANEOUS_BLINK_MS = (110.0, 260.0)
_MEAN_BETWEEN_BLINKS_MS = 5000.0
_SHUT_MS = (200.0, 500.0)
_FURTHER = 1.3
_BETWEEN_TWO_BLINKS_MS = (200.0, 450.0)
_RAMP_MS = (350.0, 750.0)
_LETS_GO_AFTER_MS = (120.0, 450.0)
_HOLDS_AT_MOST_MS = 2500.0
_TRIES_AGAIN_AFTER_MS = (700.0, 1500.0)
_TURN_DEGREES = (18.0, 30.0)
_LOOK_UP_DEGREES = (12.0, 20.0)
_MOUTH = (0.45, 0.9)
_SWAY_HZ = (0.11, 0.23, 0.41)
_SWAY_YAW_DEGREES = 2.0
_SWAY_PITCH_DEGREES = 1.3


@dataclass(frozen=True, slots=True)
class Prompt:
    """What whoever stands before the camera can read on the screen.

    ``action`` is what is asked just now, ``more`` whether more of it: further, wider, for longer.
    ``glasses_off``: whoever wears glasses is to take them off.
    ``done``: nothing more will be asked, the face is being compared.
    """

    action: Action | None = None
    more: bool = False
    glasses_off: bool = False
    done: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """A moment of a face, as `synthesis.AnimatedPortrait.frame` takes it."""

    closure: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    mouth: float = 0.0


REST = Expression()


@dataclass(slots=True)
class Gesture:
    """One action as somebody does it: ``size`` is degrees, or a share of what a mouth can do.

    A blink takes ``ramp_ms`` for the way down and up, and ``shut_ms`` between. The others go out in
    ``ramp_ms``, stay until ``until_ms``, and come back in as much.
    """

    action: Action
    from_ms: float
    ramp_ms: float
    size: float = 1.0
    until_ms: float = math.inf
    pause_ms: float = 0.0
    shut_ms: float = 0.0

    @property
    def is_blink(self) -> bool:
        return self.action in (Action.BLINK_ONCE, Action.BLINK_TWICE)

    @property
    def ends_ms(self) -> float:
        if self.is_blink:
            return self._blinks_from_ms[-1] + self.ramp_ms + self.shut_ms
        return self.until_ms + self.ramp_ms

    @property
    def _blinks_from_ms(self) -> list[float]:
        if self.action is Action.BLINK_ONCE:
            return [self.from_ms]
        return [self.from_ms, self.from_ms + self.ramp_ms + self.shut_ms + self.pause_ms]

    def _closure(self, since_ms: float) -> float:
        """How far the lids are down so long after they began to close."""
        shut_for_ms = min(max(0.0, since_ms - self.ramp_ms / 2), self.shut_ms)
        return blink_closure(
            (since_ms - shut_for_ms) / 1000, blinks_at=(0.0,), blink_ms=self.ramp_ms
        )

    def do_more(self, rng: np.random.Generator) -> None:
        """As who was told that it was not enough: lids stay down for longer, heads go further."""
        if self.is_blink:
            self.shut_ms = rng.uniform(*_SHUT_MS)
        else:
            most = _MOUTH[1] if self.action is Action.OPEN_MOUTH else math.inf
            self.size = min(self.size * _FURTHER, most)

    def let_go(self, at_ms: float) -> None:
        """Come back from there on, but not before having gone all the way out."""
        self.until_ms = min(self.until_ms, max(at_ms, self.from_ms + self.ramp_ms))

    def at(self, at_ms: float) -> Expression:
        if self.is_blink:
            return Expression(
                closure=max(self._closure(at_ms - one) for one in self._blinks_from_ms)
            )
        out = min(at_ms - self.from_ms, self.until_ms + self.ramp_ms - at_ms) / self.ramp_ms
        share = self.size * (0.5 - 0.5 * math.cos(math.pi * min(1.0, max(0.0, out))))
        match self.action:
            case Action.TURN_LEFT:  # the person's own left is the right of the image
                return Expression(yaw=share)
            case Action.TURN_RIGHT:
                return Expression(yaw=-share)
            case Action.LOOK_UP:
                return Expression(pitch=share)
            case _:
                return Expression(mouth=share)


def gesture(
    action: Action, from_ms: float, rng: np.random.Generator, *, until_ms: float = math.inf
) -> Gesture:
    """This action with somebody's own size and speed."""
    sizes = {Action.OPEN_MOUTH: _MOUTH, Action.LOOK_UP: _LOOK_UP_DEGREES}
    is_blink = action in (Action.BLINK_ONCE, Action.BLINK_TWICE)
    return Gesture(
        action,
        from_ms,
        ramp_ms=rng.uniform(*(_BLINK_MS if is_blink else _RAMP_MS)),
        size=1.0 if is_blink else rng.uniform(*sizes.get(action, _TURN_DEGREES)),
        until_ms=until_ms,
        pause_ms=rng.uniform(*_BETWEEN_TWO_BLINKS_MS),
    )


class Idle:
    """What a head does by itself: it sways a little in all three dimensions, and it blinks."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._phases = rng.uniform(0, 2 * math.pi, (2, len(_SWAY_HZ)))
        self._blink = self._next_blink(0.0)

    def at(self, at_ms: float) -> Expression:
        """Times never go back."""
        if at_ms > self._blink.ends_ms:
            self._blink = self._next_blink(at_ms)
        angles = 2 * math.pi * at_ms / 1000 * np.array(_SWAY_HZ) + self._phases
        yaw, pitch = np.sin(angles).mean(axis=1).tolist()
        return Expression(
            closure=self._blink.at(at_ms).closure,
            yaw=yaw * _SWAY_YAW_DEGREES,
            pitch=pitch * _SWAY_PITCH_DEGREES,
        )

    def _next_blink(self, at_ms: float) -> Gesture:
        return Gesture(
            Action.BLINK_ONCE,
            at_ms + self._rng.exponential(_MEAN_BETWEEN_BLINKS_MS),
            ramp_ms=self._rng.uniform(*_SPONTANEOUS_BLINK_MS),
        )


@dataclass(slots=True)
class Recording:
    """What somebody did once, whatever is asked now."""

    gestures: Sequence[Gesture]
    idle: Idle

    def at(self, at_ms: float) -> Expression:
        return together([self.idle.at(at_ms), *(one.at(at_ms) for one in self.gestures)])


@dataclass(slots=True)
class Performer:
    """Somebody who does what is asked, as fast as people do, and again where it was not enough."""

    rng: np.random.Generator
    reaction_ms: tuple[float, float] = REACTION_MS
    idle: Idle | None = None
    _asked: Action | None = None
    _gesture: Gesture | None = None
    _told_more: bool = False
    _earlier: list[Gesture] = field(default_factory=list)

    def at(self, at_ms: float, prompt: Prompt) -> Expression:
        """Times never go back."""
        if prompt.action is not self._asked:
            self._change_to(prompt.action, at_ms)
        elif self._gesture is not None and at_ms > self._gesture.ends_ms:
            self._try_again(at_ms)
        self._told_more = prompt.action is not None and (self._told_more or prompt.more)
        self._earlier = [one for one in self._earlier if one.ends_ms >= at_ms]
        now = [one.at(at_ms) for one in self._earlier]
        if self._gesture is not None:
            now.append(self._gesture.at(at_ms))
        return together([*now, self.idle.at(at_ms) if self.idle else REST])

    def _change_to(self, action: Action | None, at_ms: float) -> None:
        if self._gesture is not None:
            self._gesture.let_go(at_ms + self.rng.uniform(*_LETS_GO_AFTER_MS))
            # What has not begun is not begun any more.
            if self._gesture.from_ms <= at_ms:
                self._earlier.append(self._gesture)
        self._asked = action
        self._told_more = False
        self._gesture = None
        if action is not None:
            self._gesture = self._begin(action, at_ms + self.rng.uniform(*self.reaction_ms))

    def _try_again(self, at_ms: float) -> None:
        assert self._asked is not None  # noqa: S101 -- for the type checker
        self._gesture = self._begin(self._asked, at_ms + self.rng.uniform(*_TRIES_AGAIN_AFTER_MS))

    def _begin(self, action: Action, from_ms: float) -> Gesture:
        # Whoever has turned far goes back before turning the other way.
        after_ms = max((one.ends_ms for one in self._earlier), default=0.0)
        begun = gesture(action, max(from_ms, after_ms), self.rng)
        if self._told_more:
            begun.do_more(self.rng)
        begun.until_ms = begun.from_ms + begun.ramp_ms + _HOLDS_AT_MOST_MS
        return begun


def together(expressions: Iterable[Expression]) -> Expression:
    """Movements at the same time: angles add, lids and mouth do not open or close twice."""
    all_of_them = list(expressions)
    return Expression(
        closure=max(one.closure for one in all_of_them),
        yaw=sum(one.yaw for one in all_of_them),
        pitch=sum(one.pitch for one in all_of_them),
        mouth=max(one.mouth for one in all_of_them),
    )


def one_after_another(
    actions: Iterable[Action],
    from_ms: float,
    rng: np.random.Generator,
    *,
    pause_ms: tuple[float, float] = (0.0, 0.0),
    hold_ms: tuple[float, float] = HOLD_MS,
) -> tuple[list[Gesture], float]:
    """These actions as somebody does them in front of the own camera; the second is their end.

    Between two of them passes a time in the range ``pause_ms``, and that of a reaction; head and
    mouth stay where they went for one in the range ``hold_ms``.
    """
    done: list[Gesture] = []
    at_ms = from_ms
    for action in actions:
        paused_ms = rng.uniform(*pause_ms) if done else 0.0
        starts_ms = at_ms + paused_ms + rng.uniform(*REACTION_MS)
        one = gesture(action, starts_ms, rng)
        if not one.is_blink:
            one.until_ms = starts_ms + one.ramp_ms + rng.uniform(*hold_ms)
        done.append(one)
        at_ms = one.ends_ms
    return done, at_ms
