"""The actions that a person may be asked for, and the sequences that are drawn from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import permutations


class Action(StrEnum):
    """Values are stable: they are stored, and texts and icons hang on them.

    Left and right are the person's own.
    """

    BLINK_ONCE = "blink_once"
    BLINK_TWICE = "blink_twice"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_UP = "look_up"
    OPEN_MOUTH = "open_mouth"


class Kind(StrEnum):
    """What an action needs of a body. Who cannot do one action cannot do others of its kind."""

    EYES = "eyes"
    MOUTH = "mouth"
    TURN = "turn"
    NOD = "nod"


KIND_OF = {
    Action.BLINK_ONCE: Kind.EYES,
    Action.BLINK_TWICE: Kind.EYES,
    Action.TURN_LEFT: Kind.TURN,
    Action.TURN_RIGHT: Kind.TURN,
    Action.LOOK_UP: Kind.NOD,
    Action.OPEN_MOUTH: Kind.MOUTH,
}
BLINKS = frozenset({Action.BLINK_ONCE, Action.BLINK_TWICE})
_HEAD = frozenset({Kind.TURN, Kind.NOD})
_FACE = frozenset({Kind.EYES, Kind.MOUTH})


class Level(StrEnum):
    """How much is asked. Values are stable, and are those of a course's proof of life."""

    BLINK = "blink"
    CHALLENGE = "challenge"
    STRICT = "strict"


#: From the least to the most that a level asks.
_LENGTHS = {Level.BLINK: 1, Level.CHALLENGE: 2, Level.STRICT: 3}

Actions = tuple[Action, ...]


def strictest(levels: Sequence[Level]) -> Level:
    """The level that asks most; where there is none, the usual one.

    >>> strictest([Level.BLINK, Level.STRICT])
    <Level.STRICT: 'strict'>
    """
    return max(levels, key=lambda level: _LENGTHS[level], default=Level.CHALLENGE)


def sequences(
    level: Level, *, unable: frozenset[Kind] = frozenset(), more: int = 0
) -> tuple[Actions, ...]:
    """Everything that a level may ask of somebody who cannot do these kinds of action.

    ``more`` is how many actions are asked for beyond those of the level, as far as there are kinds.

    The first level is one blink and has no alternative. The others ask for different actions, a
    movement of the head and one of eyes or mouth always among them: a picture with holes for eyes
    and mouth passes the second, and the first is where a flat one shows. So nothing is left for
    somebody who can do neither of two kinds that replace each other. Turns may be asked for both
    ways, blinks only once or twice.

    >>> len(sequences(Level.CHALLENGE)), len(sequences(Level.STRICT))
    (18, 90)
    >>> sequences(Level.CHALLENGE, unable=frozenset({Kind.TURN, Kind.EYES}))
    ((<Action.LOOK_UP: 'look_up'>, <Action.OPEN_MOUTH: 'open_mouth'>), \
(<Action.OPEN_MOUTH: 'open_mouth'>, <Action.LOOK_UP: 'look_up'>))
    """
    if level is Level.BLINK:
        return () if Kind.EYES in unable else ((Action.BLINK_ONCE,),)
    kinds = set(Kind) - unable
    length = min(_LENGTHS[level] + more, len(kinds))
    able = [action for action in Action if KIND_OF[action] in kinds]
    return tuple(actions for actions in permutations(able, length) if _is_mixed(actions))


def _is_mixed(actions: Actions) -> bool:
    kinds = {KIND_OF[action] for action in actions}
    mixed = bool(kinds & _HEAD) and bool(kinds & _FACE)
    return mixed and not BLINKS.issubset(actions)


def new_nonce(draw: Callable[[], float]) -> str:
    """106 random bits in hexadecimal, from a source of numbers from 0 up to 1."""
    return "".join(f"{int(draw() * 2**53):014x}" for _ in range(2))


def drawn(nonce: str, choices: Sequence[Actions], *, last: Actions | None) -> Actions:
    """The sequence that this nonce stands for among the choices, but never the last one again.

    Both stand in the attempt's trace, so that anybody can see that nobody chose it.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if not choices:
        raise ValueError("got no sequence to draw from, expected at least one")
    fresh = [actions for actions in choices if actions != last] or list(choices)
    number = int.from_bytes(hashlib.sha256(nonce.encode()).digest())
    return fresh[number % len(fresh)]
