"""One drawn sequence, as a person before the camera does it, action after action."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from recognition.engine.blink import Blink
from recognition.engine.liveness.actions import BLINKS, Action, Actions
from recognition.engine.liveness.movements import Movement, Posture
from recognition.engine.thresholds import ActionThresholds, DialoguePolicy
from recognition.engine.types import Face


class Seen(StrEnum):
    """How far a sequence has come."""

    GOING_ON = "going_on"
    DONE = "done"
    NOT_DONE = "not_done"
    OTHER_ACTION = "other_action"
    NOT_BACK = "not_back"


@dataclass(frozen=True, slots=True)
class Deed:
    """An action that was done as asked; ``figures`` are how, for the attempt's trace."""

    action: Action
    reaction_ms: float
    figures: dict[str, float]

    def trace(self) -> dict[str, Any]:
        return {"action": self.action, "reaction_ms": round(self.reaction_ms), **self.figures}


@dataclass(frozen=True, slots=True)
class _Frame:
    face: Face
    movement: Movement
    blink: Blink | None
    at_ms: float


class _Asked(ABC):
    """One action that was asked for. It counts only where a frame of it was embedded.

    Attributes:
        share: how much of it is done, 0 to 1.
        since_ms: when it began to show; None while nothing of it shows.
        hold_ms: for how long it has to be kept up, until something else is said.
        is_held: whether it is done and being kept up.
        left_early: whether it was not kept up for long enough.
    """

    def __init__(self, action: Action, at_ms: float, *, hold_ms: float = 0.0) -> None:
        self.action = action
        self.at_ms = at_ms
        self.hold_ms = hold_ms
        self.share = 0.0
        self.since_ms: float | None = None
        self.is_held = False
        self.left_early = False
        self._embedded = False

    @property
    @abstractmethod
    def wants_embedding(self) -> bool:
        """Whether the next frame may be the one to embed."""

    @abstractmethod
    def add(self, frame: _Frame) -> Deed | None:
        """Take the next frame; the deed that it completes."""


class _AskedMovement(_Asked):
    """Head or mouth: as far as asked, in some frames one after the other, and for ``hold_ms``."""

    def __init__(
        self,
        action: Action,
        at_ms: float,
        *,
        thresholds: ActionThresholds,
        reaction_ms: float,
        hold_ms: float,
    ) -> None:
        super().__init__(action, at_ms, hold_ms=hold_ms)
        self._thresholds = thresholds
        self._reaction_ms = reaction_ms
        self._frames = 0
        self._held_from_ms = 0.0
        self._furthest = 0.0

    @property
    def wants_embedding(self) -> bool:
        return self.since_ms is not None and not self._embedded

    def add(self, frame: _Frame) -> Deed | None:
        limits, share = self._thresholds, frame.movement.share(self.action)
        self.share = min(1.0, max(0.0, share))
        if share < (limits.held_share if self.is_held else limits.under_way_share):
            self.left_early = self.left_early or self.is_held
            self.since_ms, self.is_held, self._frames = None, False, 0
            return None
        if self.since_ms is None:
            self.since_ms = frame.at_ms
        self._embedded = self._embedded or frame.face.embedding is not None
        self._furthest = max(self._furthest, share)
        self._frames = self._frames + 1 if share >= 1 else 0
        reaction_ms = self.since_ms - self.at_ms
        # Faster than anybody reacts: it would have come unasked too.
        done = self._frames >= limits.hold_frames and reaction_ms >= self._reaction_ms
        if done and not self.is_held:
            self.is_held, self._held_from_ms = True, frame.at_ms
        held_ms = frame.at_ms - self._held_from_ms
        if not self.is_held or not self._embedded or held_ms < self.hold_ms:
            return None
        figures = {
            "took_ms": round(frame.at_ms - self.since_ms),
            "extent": round(self._furthest, 2),
        }
        return Deed(self.action, reaction_ms, figures)


class _AskedBlinks(_Asked):
    """One blink, or two in a row."""

    def __init__(
        self, action: Action, at_ms: float, *, between_blinks_ms: float, reaction_ms: float
    ) -> None:
        super().__init__(action, at_ms)
        self._wanted = 2 if action is Action.BLINK_TWICE else 1
        self._between_blinks_ms = between_blinks_ms
        self._reaction_ms = reaction_ms
        self._blinks: list[Blink] = []

    @property
    def wants_embedding(self) -> bool:
        return False  # The lids are faster than the request: `FrameRequest.embed_if_ear_below`.

    def add(self, frame: _Frame) -> Deed | None:
        self._embedded = self._embedded or frame.face.embedding is not None
        blink = frame.blink
        if blink is None or not self._embedded:
            return None
        if blink.closed_from_ms - self.at_ms < self._reaction_ms:
            return None
        if self._blinks and self._pause_ms(blink) > self._between_blinks_ms:
            self._blinks.clear()
        self._blinks.append(blink)
        self.since_ms = self._blinks[0].closed_from_ms
        self.share = len(self._blinks) / self._wanted
        return self._deed() if len(self._blinks) >= self._wanted else None

    def _pause_ms(self, blink: Blink) -> float:
        return blink.closed_from_ms - self._blinks[-1].closed_until_ms

    def _deed(self) -> Deed:
        first, last = self._blinks[0], self._blinks[-1]
        figures = {
            "closed_ms": round(last.closed_ms),
            "spanned_ms": round(last.spanned_ms),
            "depth": round(last.depth, 2),
        }
        if first is not last:
            figures["pause_ms"] = round(last.closed_from_ms - first.closed_until_ms)
        return Deed(self.action, first.closed_from_ms - self.at_ms, figures)


def random_ms(draw: Callable[[], float], shortest_ms: float, longest_ms: float) -> float:
    """A time in this range, by a source of numbers from 0 up to 1."""
    return shortest_ms + draw() * (longest_ms - shortest_ms)


class Challenge:
    """A sequence that is being asked. Feed it every frame of the face, in order.

    Each action has a time window of its own. Between two actions, and after the last one, the face
    returns to where it rests, so that nothing counts twice. The next action is asked after a random
    pause; whoever moves in it rests and waits anew.

    Where movements are ``held``, they are kept up for a random time, until the way back is told,
    and left soon after that: when a recording leaves them was settled before.

    Args:
        held: whether movements are to be kept up until something else is said.
        draw: returns a random number from 0 up to 1, for each pause and for how long is held.
        done: the first of the actions, where they were done before and need not be shown again.

    Attributes:
        deeds: what was done so far.
        movement: where the face was in the last frame, from its rest.
        other: the action that was done instead of the one asked, after `Seen.OTHER_ACTION`.
    """

    def __init__(
        self,
        *,
        nonce: str,
        actions: Actions,
        rest: Posture,
        at_ms: float,
        policy: DialoguePolicy,
        thresholds: ActionThresholds,
        draw: Callable[[], float],
        held: bool = False,
        done: Sequence[Deed] = (),
    ) -> None:
        self.nonce = nonce
        self.actions = actions
        self.deeds = list(done)
        self.movement = Movement(0.0, 0.0, 0.0)
        self.other: Action | None = None
        self._rest = rest
        self._policy = policy
        self._thresholds = thresholds
        self._draw = draw
        self._held = held
        self._frames_at_rest = 0
        self._other_frames = 0
        self._returning_since_ms: float | None = None
        # Below this share a held movement is being left; None where that is not waited for.
        self._left_below: float | None = None
        self._pause_until_ms: float | None = None
        self._early_frames = 0
        self._asked = self._ask(at_ms)

    @property
    def asked(self) -> Action | None:
        """What is asked just now; None on the way back to rest."""
        return self._asked.action if self._returning_since_ms is None else None

    @property
    def number(self) -> int:
        """Which action of the sequence it is, from 1."""
        return min(len(self.deeds) + (self.asked is not None), len(self.actions))

    @property
    def share(self) -> float:
        """How much of the action is done, 0 to 1."""
        return self._asked.share if self.asked else 1.0

    @property
    def progress(self) -> float:
        """How much of the whole sequence is done, 0 to 1."""
        share = self._asked.share if self.asked else 0.0
        return (len(self.deeds) + share) / len(self.actions)

    @property
    def wants_embedding(self) -> bool:
        return self.asked is not None and self._asked.wants_embedding

    @property
    def is_held(self) -> bool:
        """Whether the action is done and has to be kept up until something else is said."""
        return self.asked is not None and self._asked.is_held

    @property
    def was_left_early(self) -> bool:
        """Whether the action was done, but not kept up, and nothing of it shows any more."""
        return self.asked is not None and self._asked.left_early and self._asked.since_ms is None

    def is_half_way(self, at_ms: float) -> bool:
        """Whether the action has stood still on its way for long enough to say what is missing."""
        since_ms = self._asked.since_ms
        return (
            self.asked is not None
            and since_ms is not None
            and at_ms - since_ms >= self._policy.nudge_ms
        )

    def is_not_seen(self, at_ms: float) -> bool:
        """Whether nothing of the action was seen for so long that it may be done too faintly."""
        return (
            self.asked is not None
            and self._asked.since_ms is None
            and at_ms - self._asked.at_ms >= self._policy.unseen_ms
        )

    def add(self, face: Face, blink: Blink | None, at_ms: float, *, eyes_closed: bool) -> Seen:
        """Take the next frame's face, and the blink that it completes."""
        self.movement = Movement.between(self._rest, Posture.of(face), self._thresholds)
        self._frames_at_rest = self._frames_at_rest + 1 if self._is_at_rest(eyes_closed) else 0
        if self._returning_since_ms is not None:
            return self._returned(at_ms)
        deed = self._asked.add(_Frame(face, self.movement, blink, at_ms))
        if deed is not None:
            self.deeds.append(deed)
            self._returning_since_ms = at_ms
            if self._asked.hold_ms:
                share = self.movement.share(deed.action)
                self._left_below = self._thresholds.let_go_share * share
            return self._returned(at_ms)
        if self._does_other(eyes_closed):
            return Seen.OTHER_ACTION
        late = at_ms - self._asked.at_ms > self._policy.challenge_ms + self._asked.hold_ms
        return Seen.NOT_DONE if late and not eyes_closed else Seen.GOING_ON

    def _is_at_rest(self, eyes_closed: bool) -> bool:
        return self.movement.from_rest < self._thresholds.rest_share and not eyes_closed

    def _returned(self, at_ms: float) -> Seen:
        assert self._returning_since_ms is not None  # noqa: S101 -- for the type checker
        if self._stays_too_long(at_ms - self._returning_since_ms):
            self._left_below = self._returning_since_ms = None
            self.deeds.pop()
            return Seen.NOT_DONE
        if self._moves_in_pause():
            self._pause_until_ms = None
        if self._frames_at_rest < self._thresholds.rest_frames:
            late = at_ms - self._returning_since_ms > self._policy.return_ms
            return Seen.NOT_BACK if late else Seen.GOING_ON
        if len(self.deeds) == len(self.actions):
            return Seen.DONE
        if self._pause_until_ms is None:
            policy = self._policy
            pause_ms = random_ms(self._draw, policy.pause_min_ms, policy.pause_max_ms)
            self._pause_until_ms = at_ms + pause_ms
            self._returning_since_ms = self._pause_until_ms
        if at_ms < self._pause_until_ms:
            return Seen.GOING_ON
        self._returning_since_ms = self._pause_until_ms = None
        self._asked = self._ask(at_ms)
        return Seen.GOING_ON

    def _stays_too_long(self, returning_ms: float) -> bool:
        """Whether a held movement is not being left so long after the way back was told."""
        if self._left_below is None:
            return False
        deed = self.deeds[-1]
        if self.movement.share(deed.action) >= self._left_below:
            return returning_ms > self._policy.let_go_ms
        self._left_below = None
        self.deeds[-1] = replace(deed, figures={**deed.figures, "let_go_ms": round(returning_ms)})
        return False

    def _moves_in_pause(self) -> bool:
        """Whether something that may be asked for was clearly done before it was."""
        clear = (
            self._pause_until_ms is not None and self.movement.share(self.movement.clearest) >= 1
        )
        self._early_frames = self._early_frames + 1 if clear else 0
        return self._early_frames >= self._thresholds.hold_frames

    def _does_other(self, eyes_closed: bool) -> bool:
        """Whether something else was clearly done. Blinks are none: nobody can help blinking.

        Nor is what landmarks make of a face whose eyes are closed: a head that is raised.
        """
        other = self.movement.clearest
        share = self.movement.share(other)
        clear = (
            other is not self._asked.action
            and not eyes_closed
            and share >= self._thresholds.other_share
            and share > self.movement.share(self._asked.action)
        )
        self._other_frames = self._other_frames + 1 if clear else 0
        self.other = other if clear else None
        return self._other_frames >= self._thresholds.other_frames

    def _ask(self, at_ms: float) -> _Asked:
        self._other_frames = 0
        action, reaction_ms = self.actions[len(self.deeds)], self._policy.reaction_ms
        if action in BLINKS:
            return _AskedBlinks(
                action,
                at_ms,
                between_blinks_ms=self._thresholds.between_blinks_ms,
                reaction_ms=reaction_ms,
            )
        hold_ms = 0.0
        if self._held:
            hold_ms = random_ms(self._draw, self._policy.hold_min_ms, self._policy.hold_max_ms)
        return _AskedMovement(
            action, at_ms, thresholds=self._thresholds, reaction_ms=reaction_ms, hold_ms=hold_ms
        )
