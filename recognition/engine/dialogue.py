"""The check-in of one person after the other at one kiosk, as a state machine.

Pure: it sees analyses, never pixels; it has no clock, so every call brings the time; it knows no
gallery, so it ends in a `LiveProbe` for somebody else to identify. One object serves one kiosk
connection.

    searching → guiding → waiting → challenge → matching → (identify) → verdict → leaving → …

The face that blinked is the face that is matched: embeddings from before, during and after the
blink must agree, and the face may neither vanish nor jump in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from recognition.engine.blink import Blink, BlinkTracker
from recognition.engine.gallery import fuse, similarity
from recognition.engine.thresholds import BlinkThresholds, DialoguePolicy
from recognition.engine.types import (
    Box,
    Embedding,
    Face,
    FrameAnalysis,
    FrameRequest,
    Problem,
)

#: A whole frame is searched at full resolution, or for bystanders, every so many frames.
FINE_SEARCH_EVERY = 5
COUNT_FACES_EVERY = 3


class Phase(StrEnum):
    SEARCHING = "searching"
    GUIDING = "guiding"
    WAITING = "waiting"
    CHALLENGE = "challenge"
    MATCHING = "matching"
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
    BLINK = "blink"
    WAIT = "wait"
    NEXT = "next"


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

#: How far a check-in has come at the start of each phase, for the kiosk's ring.
_PROGRESS_AT = {
    Phase.SEARCHING: 0.0,
    Phase.GUIDING: 0.1,
    Phase.WAITING: 0.25,
    Phase.CHALLENGE: 0.5,
    Phase.MATCHING: 0.7,
    Phase.VERDICT: 1.0,
    Phase.LEAVING: 0.0,
}

#: What a person in that phase is told unless something is in the way.
_HINT_IN = {
    Phase.SEARCHING: Hint.LOOK,
    Phase.GUIDING: Hint.STILL,
    Phase.WAITING: Hint.STILL,
    Phase.CHALLENGE: Hint.BLINK,
    Phase.MATCHING: Hint.WAIT,
    Phase.VERDICT: Hint.WAIT,
    Phase.LEAVING: Hint.NEXT,
}


class Refusal(StrEnum):
    """Why a face was not taken for a live person. Values are stable: they are stored."""

    NO_BLINK = "no_blink"
    IDENTITY_CHANGED = "identity_changed"


@dataclass(frozen=True, slots=True)
class LiveProbe:
    """A face that has shown itself alive: the fused embedding, ``(d,)``, and how it was shown."""

    embedding: Embedding
    trace: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """The answer to one frame.

    At most one of ``probe`` and ``refusal`` is set; the caller then decides the outcome and calls
    `CheckInDialogue.conclude`.
    """

    phase: Phase
    hint: Hint
    progress: float
    face: Box | None = None
    probe: LiveProbe | None = None
    refusal: Refusal | None = None
    trace: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Visit:
    """What is known of the person before the camera; forgotten when they leave or change."""

    tracker: BlinkTracker
    face: Face | None = None
    seen_at_ms: float = 0.0
    good_at_ms: float = 0.0
    ask_at_ms: float = 0.0
    tries: int = 1
    before: list[Embedding] = field(default_factory=list)
    during: list[Embedding] = field(default_factory=list)
    after: list[Embedding] = field(default_factory=list)
    least_similarity: float = 1.0
    trace: dict[str, Any] = field(default_factory=dict)


class CheckInDialogue:
    """One kiosk's conversation.

    Args:
        draw: returns a random number from 0 to 1; it sets the moment of the challenge.
    """

    def __init__(
        self,
        *,
        draw: Callable[[], float],
        policy: DialoguePolicy | None = None,
        blink_thresholds: BlinkThresholds | None = None,
    ) -> None:
        self._draw = draw
        self.policy = policy or DialoguePolicy()
        self._blink_thresholds = blink_thresholds or BlinkThresholds()
        self._frames = 0
        self._show_until_ms = 0.0
        self._gone_since_ms: float | None = None
        self._phase = Phase.SEARCHING
        self._entered_at_ms = 0.0
        self._visit = _Visit(BlinkTracker(self._blink_thresholds))

    # What the caller asks

    @property
    def phase(self) -> Phase:
        return self._phase

    def showing_verdict(self, at_ms: float) -> bool:
        """Whether frames need not be analysed, because the verdict is still on the screen."""
        return self._phase is Phase.VERDICT and at_ms < self._show_until_ms

    def request(self) -> FrameRequest:
        """What the next frame has to be searched for."""
        if self._visit.face is None:
            return FrameRequest(fine=self._frames % FINE_SEARCH_EVERY == 0)
        return FrameRequest(
            near=self._visit.face.box,
            count_faces=self._phase in (Phase.GUIDING, Phase.MATCHING)
            or self._frames % COUNT_FACES_EVERY == 0,
            embed=self._wants_embedding(),
            embed_if_ear_below=self._visit.tracker.closed_below
            if self._phase is Phase.CHALLENGE
            else 0.0,
        )

    def step(self, analysis: FrameAnalysis, at_ms: float) -> Step:
        """Take the analysis of the frame that arrived at ``at_ms``, which never goes back."""
        self._frames += 1
        if self._phase is Phase.VERDICT:
            self._leave(at_ms)
        if self._phase is Phase.LEAVING:
            return self._step_leaving(analysis, at_ms)

        face = analysis.main_face
        if face is None:
            return self._step_without_face(at_ms)
        if self._visit.face is not None and not self._is_same_place(face, at_ms):
            self._start_again()
        self._visit.face, self._visit.seen_at_ms = face, at_ms
        if self._phase is Phase.SEARCHING:
            self._enter(Phase.GUIDING, at_ms)

        problem = self._problem(analysis, face)
        if problem is None:
            self._visit.good_at_ms = at_ms
            return self._STEPS[self._phase](self, face, self._visit.tracker.add(face, at_ms), at_ms)
        if self._tolerates(problem, at_ms):
            return self._answer()
        return self._guide(problem, at_ms)

    def conclude(self, at_ms: float) -> None:
        """The outcome is on the screen from now on; the person is asked to step away after it."""
        self._enter(Phase.VERDICT, at_ms)
        self._show_until_ms = at_ms + self.policy.show_ms

    # Phases

    def _step_without_face(self, at_ms: float) -> Step:
        if self._visit.face is None or at_ms - self._visit.seen_at_ms > self.policy.max_gap_ms:
            self._start_again()
        return self._answer()

    def _guide(self, problem: Problem, at_ms: float) -> Step:
        """Ask for what is missing. Whatever was shown so far must be shown again."""
        face = self._visit.face
        self._start_again()
        self._visit.face, self._visit.seen_at_ms = face, at_ms
        self._enter(Phase.GUIDING, at_ms)
        return self._answer(hint=HINT_FOR_PROBLEM[problem])

    def _step_guiding(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        if at_ms - self._entered_at_ms >= self.policy.steady_ms:
            self._wait(at_ms)
        return self._answer()

    def _step_waiting(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        if not self._keep(face, self._visit.before):
            return self._guide(Problem.BLURRED, at_ms)
        ready = self._visit.tracker.learned and not self._visit.tracker.eyes_closed
        if (
            ready
            and at_ms >= self._visit.ask_at_ms
            and len(self._visit.before) >= self.policy.frames_before
        ):
            self._enter(Phase.CHALLENGE, at_ms)
        return self._answer()

    def _step_challenge(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        if not self._keep(face, self._visit.during):
            return self._answer(refusal=Refusal.IDENTITY_CHANGED)
        waited_ms = at_ms - self._entered_at_ms
        if blink and self._visit.during and self._reaction_ms(blink) >= self.policy.reaction_ms:
            self._visit.trace["blink"] = {
                "reaction_ms": round(self._reaction_ms(blink)),
                "closed_ms": round(blink.closed_ms),
                "spanned_ms": round(blink.spanned_ms),
                "depth": round(blink.depth, 2),
            }
            self._enter(Phase.MATCHING, at_ms)
        elif waited_ms > self.policy.challenge_ms and not self._visit.tracker.eyes_closed:
            if self._visit.tries >= self.policy.tries:
                return self._answer(refusal=Refusal.NO_BLINK)
            self._visit.tries += 1
            self._wait(at_ms)
        return self._answer()

    def _step_matching(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        if not self._visit.tracker.eyes_closed and not self._keep(face, self._visit.after):
            return self._answer(refusal=Refusal.IDENTITY_CHANGED)
        if len(self._visit.after) >= self.policy.frames_after:
            return self._answer(
                probe=LiveProbe(fuse([*self._visit.before, *self._visit.after]), self._full_trace())
            )
        if at_ms - self._entered_at_ms > self.policy.match_ms:
            return self._guide(Problem.BLURRED, at_ms)
        return self._answer()

    def _step_leaving(self, analysis: FrameAnalysis, at_ms: float) -> Step:
        face = analysis.main_face
        somebody_else = face and self._visit.face and face.box.iou(self._visit.face.box) == 0
        if face is None:
            self._gone_since_ms = at_ms if self._gone_since_ms is None else self._gone_since_ms
        else:
            self._gone_since_ms = None
        gone = (
            self._gone_since_ms is not None and at_ms - self._gone_since_ms >= self.policy.leave_ms
        )
        if gone or somebody_else or at_ms - self._entered_at_ms > self.policy.leave_max_ms:
            self._start_again()
        elif face is not None:
            self._visit.face = face
        return self._answer()

    _STEPS = {
        Phase.GUIDING: _step_guiding,
        Phase.WAITING: _step_waiting,
        Phase.CHALLENGE: _step_challenge,
        Phase.MATCHING: _step_matching,
    }

    # Transitions

    def _start_again(self) -> None:
        self._phase = Phase.SEARCHING
        self._visit = _Visit(BlinkTracker(self._blink_thresholds))

    def _enter(self, phase: Phase, at_ms: float) -> None:
        self._phase, self._entered_at_ms = phase, at_ms

    def _leave(self, at_ms: float) -> None:
        face = self._visit.face
        self._start_again()
        self._visit.face, self._gone_since_ms = face, None
        self._enter(Phase.LEAVING, at_ms)

    def _wait(self, at_ms: float) -> None:
        """Let a random time pass before the challenge, so that it cannot be foreseen."""
        policy = self.policy
        self._enter(Phase.WAITING, at_ms)
        self._visit.ask_at_ms = (
            at_ms + policy.wait_min_ms + self._draw() * (policy.wait_max_ms - policy.wait_min_ms)
        )

    # Checks

    def _is_same_place(self, face: Face, at_ms: float) -> bool:
        assert self._visit.face is not None  # noqa: S101 -- for the type checker
        return (
            at_ms - self._visit.seen_at_ms <= self.policy.max_gap_ms
            and face.box.iou(self._visit.face.box) >= self.policy.min_overlap
        )

    def _problem(self, analysis: FrameAnalysis, face: Face) -> Problem | None:
        """The first thing in the way. Closed eyes are none once a blink may come."""
        others = [other.box.area for other in analysis.faces[1:]]
        if others and max(others) >= self.policy.bystander_share * face.box.area:
            return Problem.SEVERAL_FACES
        may_close_eyes = self._phase is not Phase.GUIDING
        for problem in face.quality.problems:
            if not (may_close_eyes and problem is Problem.EYES_CLOSED):
                return problem
        return None

    def _tolerates(self, problem: Problem, at_ms: float) -> bool:
        """Whether a bad frame is passed over: a check-in under way survives a short one."""
        return (
            self._phase in (Phase.WAITING, Phase.CHALLENGE, Phase.MATCHING)
            and problem is not Problem.SEVERAL_FACES
            and at_ms - self._visit.good_at_ms <= self.policy.max_gap_ms
        )

    def _reaction_ms(self, blink: Blink) -> float:
        """From the challenge to the lids' closing."""
        return blink.closed_from_ms - self._entered_at_ms

    def _wants_embedding(self) -> bool:
        if self._phase is Phase.WAITING:
            return len(self._visit.before) < self.policy.frames_before
        return self._phase is Phase.MATCHING

    def _keep(self, face: Face, kept: list[Embedding]) -> bool:
        """Keep the frame's embedding, if it has one; False if it shows another face."""
        if face.embedding is None:
            return True
        for others in (self._visit.before, self._visit.during, self._visit.after):
            least = (
                self.policy.same_face_similarity_closed
                if self._visit.during is kept or self._visit.during is others
                else self.policy.same_face_similarity
            )
            for other in others:
                likeness = similarity(face.embedding, other)
                self._visit.least_similarity = min(self._visit.least_similarity, likeness)
                if likeness < least:
                    return False
        kept.append(face.embedding)
        return True

    # Answers

    def _progress(self) -> float:
        progress = _PROGRESS_AT[self._phase]
        if self._phase is Phase.MATCHING:
            progress += (1 - progress) * min(1.0, len(self._visit.after) / self.policy.frames_after)
        return round(progress, 2)

    def _answer(
        self,
        *,
        hint: Hint | None = None,
        probe: LiveProbe | None = None,
        refusal: Refusal | None = None,
    ) -> Step:
        return Step(
            phase=self._phase,
            hint=hint or _HINT_IN[self._phase],
            progress=self._progress(),
            face=self._visit.face.box if self._visit.face else None,
            probe=probe,
            refusal=refusal,
            trace=self._full_trace() if refusal else {},
        )

    def _full_trace(self) -> dict[str, Any]:
        """The figures that an attempt keeps: no picture and no embedding among them."""
        return {
            "challenge": "blink_once",
            "tries": self._visit.tries,
            "baseline_ear": round(self._visit.tracker.baseline, 3),
            "least_similarity": round(self._visit.least_similarity, 4),
            "frames": len(self._visit.before) + len(self._visit.during) + len(self._visit.after),
            **self._visit.trace,
        }
