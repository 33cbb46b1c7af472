"""The check-in of one person after the other at one kiosk, as a state machine.

Pure: it sees analyses, never pixels; it has no clock, so every call brings the time; it knows no
gallery, so it ends in a `LiveProbe` for somebody else to identify. One object serves one kiosk
connection.

    searching → guiding → waiting → challenge → matching → (identify) → verdict → leaving → …
                                                              ↓                ↑
                                                              pass ────────────┘

What is asked is drawn anew for every challenge (`liveness.actions`). An action that is not done
in its time is replaced by one of another kind, since some people cannot blink, and some cannot turn
their heads; another action than the one asked gets a new sequence, a few times only.

The face that did what was asked is the face that is matched: embeddings from before, during and
after must agree, and the face may neither vanish nor jump in between. `liveness.watch` looks on
from the first good frame.

Where the caller asks for a pass after that, the face may vanish: a phone that is held up hides it.
Who was recognised stays the one whose pass is waited for, whoever is before the camera; another
live face, seen surely, ends the waiting and starts anew. So nobody is taken for somebody else, and
the next in the queue need not wait for one who has gone away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from recognition.engine.blink import Blink, BlinkTracker
from recognition.engine.dialogue.answers import (
    HINT_FOR_ACTION,
    HINT_FOR_PROBLEM,
    HINT_HALF_WAY,
    HINT_NOT_SEEN,
    answer,
)
from recognition.engine.dialogue.codes import CodesInView
from recognition.engine.dialogue.looking import Looking
from recognition.engine.dialogue.steps import AntiSpoofing, Hint, LiveProbe, PassEnd, Phase, Step
from recognition.engine.dialogue.visit import Visit
from recognition.engine.liveness.actions import (
    BLINKS,
    KIND_OF,
    Action,
    Actions,
    Level,
    drawn,
    new_nonce,
    sequences,
)
from recognition.engine.liveness.challenge import Challenge, Seen, random_ms
from recognition.engine.liveness.findings import Refusal
from recognition.engine.liveness.movements import Movement, Posture, RestPose
from recognition.engine.liveness.watch import PassiveWatch
from recognition.engine.thresholds import ActionThresholds, BlinkThresholds, DialoguePolicy
from recognition.engine.types import Face, FrameAnalysis, FrameRequest, Problem

#: What people do who step up to the camera: before anything was asked it only begins anew.
STEPPED_IN = (Refusal.GAP, Refusal.JUMP)


class CheckInDialogue:
    """One kiosk's conversation.

    Args:
        draw: returns a random number from 0 up to 1; it sets the challenge and its moment.
        anti_spoofing: whether the anti-spoofing model is asked, and whether it decides.
        new_watch: makes the passive checks of one visit.

    Attributes:
        liveness: how much is asked of the next person.
        takes_passes: whether a pass may be shown at any time; else only when it is asked for.
    """

    def __init__(
        self,
        *,
        draw: Callable[[], float],
        liveness: Level = Level.CHALLENGE,
        anti_spoofing: AntiSpoofing = AntiSpoofing.OFF,
        policy: DialoguePolicy | None = None,
        blink_thresholds: BlinkThresholds | None = None,
        action_thresholds: ActionThresholds | None = None,
        new_watch: Callable[[], PassiveWatch] = PassiveWatch,
    ) -> None:
        self._draw = draw
        self.liveness = liveness
        self._anti_spoofing = anti_spoofing
        self.policy = policy or DialoguePolicy()
        self._blink_thresholds = blink_thresholds or BlinkThresholds()
        self._action_thresholds = action_thresholds or ActionThresholds()
        self._new_watch = new_watch
        self._last_actions: Actions | None = None
        self._wrong_at_ms: list[float] = []
        self._unsteady_since_ms: float | None = None
        self._looking = Looking(self.policy, anti_spoofing)
        self._show_until_ms = 0.0
        self._gone_since_ms: float | None = None
        self._phase = Phase.SEARCHING
        self._entered_at_ms = 0.0
        self._visit = self._new_visit()
        self._codes = CodesInView(self.policy.code_gone_ms)
        self.takes_passes = False

    # What the caller asks

    @property
    def phase(self) -> Phase:
        return self._phase

    def showing_verdict(self, at_ms: float) -> bool:
        """Whether frames need not be analysed, because the verdict is still on the screen."""
        return self._phase is Phase.VERDICT and at_ms < self._show_until_ms

    @property
    def may_look_again(self) -> bool:
        """Whether the last probe's person may be asked for more frames: once per visit."""
        return self._visit.probe is not None and self._visit.looks == 1

    def request(self) -> FrameRequest:
        """What the next frame has to be searched for."""
        visit = self._visit
        if visit.face is None:
            return self._looking.for_anybody(reads_codes=self.takes_passes)
        if self._phase is Phase.LEAVING and self._gone_since_ms is not None:
            return self._looking.for_who_left(reads_codes=self.takes_passes)
        return self._looking.at(visit.face, visit, self._phase, reads_codes=self.takes_passes)

    def step(self, analysis: FrameAnalysis, at_ms: float) -> Step:
        """Take the analysis of the frame that arrived at ``at_ms``, which never goes back."""
        self._looking.add(analysis)
        if self._phase is Phase.VERDICT:
            self._codes.nobody_looked_until(at_ms)
            self._leave(at_ms)
        code = self._codes.newly(analysis.code, at_ms)
        if self._phase is Phase.PASS:
            step = self._step_pass(analysis, at_ms)
        else:
            step = self._step_with_face(analysis, at_ms)
        if code is None or step.probe or step.refusal or step.ended:
            return step
        return replace(step, code=code)

    def read_code_again(self) -> None:
        """Whatever code is in view has not been decided on, and counts as new."""
        self._codes = CodesInView(self.policy.code_gone_ms)

    def ask_for_pass(self, at_ms: float) -> Step:
        """The face of the last probe is known, and its person's pass is needed too."""
        # Who holds the pass up already need not take it down and show it again.
        self.read_code_again()
        self._enter(Phase.PASS, at_ms)
        return self._answer()

    def look_again(self, at_ms: float) -> Step:
        """The last probe does not suffice: take as many frames more, and fuse all of them.

        Raises:
            ValueError: it was done before in this visit, or there is no probe; see
                `may_look_again`.
        """
        if not self.may_look_again:
            raise ValueError(
                "got look_again without a probe or for the second time in one visit, expected "
                "may_look_again: conclude instead"
            )
        self._visit.looks += 1
        self._enter(Phase.MATCHING, at_ms)
        return self._answer()

    def start_over(self) -> None:
        """Serve whoever is there without waiting for the last person to step away."""
        self._start_again()

    def conclude(self, at_ms: float) -> None:
        """The outcome is on the screen from now on; the person is asked to step away after it."""
        self._wrong_at_ms.clear()
        self._enter(Phase.VERDICT, at_ms)
        self._show_until_ms = at_ms + self.policy.show_ms

    # Phases

    def _step_with_face(self, analysis: FrameAnalysis, at_ms: float) -> Step:
        if self._phase is Phase.LEAVING:
            return self._step_leaving(analysis, at_ms)
        face = analysis.main_face
        if face is None:
            return self._step_without_face(at_ms)
        if self._visit.face is not None and not self._is_same_place(face, at_ms):
            self._start_again()
        self._visit.face, self._visit.seen_at_ms = face, at_ms
        if self._phase is Phase.SEARCHING:
            self._visit.level = self.liveness
            self._enter(Phase.GUIDING, at_ms)

        problem = self._problem(analysis, face)
        blink = self._visit.tracker.add(face, at_ms) if problem is None else None
        self._visit.look_on(
            analysis,
            face,
            at_ms,
            good=problem is None,
            action=self._visit.asked_in(self._phase),
        )
        refusal = self._visit.refusal_found(complete=False)
        if refusal in STEPPED_IN and self._visit.challenge is None:
            return self._guide(Problem.BLURRED, at_ms)
        if refusal is not None:
            return self._answer(refusal=refusal)
        if problem is None:
            self._visit.good_at_ms = at_ms
            self._visit.showed_life = self._visit.showed_life or blink is not None
            return self._STEPS[self._phase](self, face, blink, at_ms)
        if self._tolerates(problem, at_ms):
            return self._answer()
        return self._guide(problem, at_ms)

    def _step_without_face(self, at_ms: float) -> Step:
        if self._visit.face is None or at_ms - self._visit.seen_at_ms > self.policy.max_gap_ms:
            self._await_the_next()
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
        return self._answer(hint=self._glasses_hint(at_ms))

    def _step_waiting(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        visit = self._visit
        if not self._visit.keep(face, self.policy.same_face_similarity, phase=self._phase):
            return self._guide(Problem.BLURRED, at_ms)
        if visit.tries == 1:
            visit.rest.add(face)
        if not visit.rest.learned or not visit.tracker.learned or visit.tracker.eyes_closed:
            return self._answer()
        if at_ms < visit.ask_at_ms or visit.count(Phase.WAITING) < self.policy.frames_before:
            return self._answer()
        if self._glasses_hint(at_ms):
            visit.told_glasses = True
            return self._answer(hint=Hint.GLASSES)
        if visit.told_glasses:
            # Another look: nothing of the last one is compared with it.
            return self._guide(Problem.BLURRED, at_ms)
        if self._is_at_rest(face):
            self._challenge(at_ms)
            return self._answer()
        if at_ms - visit.ask_at_ms > self.policy.return_ms:
            return self._guide(Problem.TURNED, at_ms)
        return self._answer(hint=self._way_back(face))

    def _step_challenge(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        challenge = self._visit.running_challenge
        if not self._visit.keep(face, self._likeness_asked(challenge), phase=self._phase):
            return self._answer(refusal=Refusal.IDENTITY_CHANGED)
        seen = challenge.add(face, blink, at_ms, eyes_closed=self._visit.tracker.eyes_closed)
        shows_life = bool(challenge.deeds) or challenge.is_held
        self._visit.showed_life = self._visit.showed_life or shows_life
        match seen:
            case Seen.DONE:
                self._enter(Phase.MATCHING, at_ms)
            case Seen.NOT_DONE:
                return self._after_missing(challenge, at_ms)
            case Seen.OTHER_ACTION:
                return self._after_other(challenge, at_ms)
            case Seen.NOT_BACK:
                return self._guide(Problem.TURNED, at_ms)
        return self._answer(hint=self._hint_in(challenge, at_ms))

    def _after_missing(self, challenge: Challenge, at_ms: float) -> Step:
        """Ask for something of another kind, as long as there is something.

        Of whom two blinks were not seen, one may be. What was done before still counts.
        """
        visit, missed = self._visit, challenge.asked
        assert missed is not None  # noqa: S101 -- for the type checker
        visit.missed.append(missed)
        visit.done = challenge.deeds
        if visit.level is Level.BLINK:
            if visit.tries >= self.policy.tries:
                return self._answer(refusal=Refusal.NO_BLINK)
            return self._once_more(None, at_ms)
        if visit.tries >= self.policy.sequences or not self._choices(at_ms):
            # Whoever lives has blinked meanwhile, or done something of what was asked.
            refusal = Refusal.NO_ACTION if visit.showed_life else Refusal.NO_SIGN_OF_LIFE
            return self._answer(refusal=refusal)
        return self._once_more(Hint.SOMETHING_ELSE, at_ms)

    def _after_other(self, challenge: Challenge, at_ms: float) -> Step:
        """Something else was done. People mix up left and right; a recording does so each time."""
        self._visit.wrong.append({"asked": challenge.asked, "did": challenge.other})
        self._visit.done = []
        self._wrong_at_ms = [*self._wrong_lately(at_ms), at_ms]
        if (
            len(self._wrong_at_ms) >= self.policy.wrong_actions
            or self._visit.tries >= self.policy.sequences
        ):
            return self._answer(refusal=Refusal.WRONG_ACTION)
        return self._once_more(Hint.OTHER_ACTION, at_ms)

    def _once_more(self, why: Hint | None, at_ms: float) -> Step:
        self._visit.tries += 1
        self._visit.why_again = why
        self._wait(at_ms, explain_ms=self.policy.explain_ms if why else 0.0)
        return self._answer()

    def _step_matching(self, face: Face, blink: Blink | None, at_ms: float) -> Step:
        visit = self._visit
        at_rest = self._is_at_rest(face)
        if at_rest and not visit.tracker.eyes_closed:
            if not self._visit.keep(face, self.policy.same_face_similarity, phase=self._phase):
                return self._answer(refusal=Refusal.IDENTITY_CHANGED)
            if visit.count(Phase.MATCHING) >= visit.looks * self.policy.frames_after:
                return self._finish(at_ms)
        limit_ms = self.policy.match_ms + (self.policy.more_frames_ms if visit.slow else 0.0)
        if at_ms - self._entered_at_ms > limit_ms:
            return self._guide(Problem.BLURRED, at_ms)
        return self._answer(hint=None if at_rest else self._way_back(face))

    def _finish(self, at_ms: float) -> Step:
        """Everything was shown: the last questions, then the probe."""
        visit = self._visit
        refusal = self._visit.refusal_found(complete=True)
        waited_ms = at_ms - self._entered_at_ms
        if refusal is Refusal.TOO_SLOW and waited_ms <= self.policy.more_frames_ms:
            visit.slow = True
            return self._answer(hint=Hint.SLOW)
        if refusal is None and not self._model_agrees():
            refusal = Refusal.SPOOF_MODEL
        if refusal is not None:
            return self._answer(refusal=refusal)
        visit.probe = visit.fused()
        return self._answer(
            probe=LiveProbe(
                embedding=visit.probe, trace=self._visit.trace(), previous=visit.fused_previous()
            )
        )

    def _step_pass(self, analysis: FrameAnalysis, at_ms: float) -> Step:
        face = analysis.main_face
        if face is not None:
            self._visit.face = face
        if self._visit.has_become_strange(face, self.policy):
            self._await_the_next()
            return replace(self._step_with_face(analysis, at_ms), ended=PassEnd.OTHER_FACE)
        timed_out = at_ms - self._entered_at_ms > self.policy.pass_ms
        return self._answer(ended=PassEnd.TIMEOUT if timed_out else None)

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

    def _new_visit(self) -> Visit:
        return Visit(
            BlinkTracker(self._blink_thresholds),
            RestPose(self._action_thresholds),
            self.liveness,
            self._new_watch(),
        )

    def _start_again(self) -> None:
        self._phase = Phase.SEARCHING
        self._visit = self._new_visit()

    def _await_the_next(self) -> None:
        """Start again for somebody else, who has all the time to take off glasses."""
        self._start_again()
        self._unsteady_since_ms = None

    def _enter(self, phase: Phase, at_ms: float) -> None:
        self._phase, self._entered_at_ms = phase, at_ms

    def _leave(self, at_ms: float) -> None:
        face = self._visit.face
        self._await_the_next()
        self._visit.face, self._gone_since_ms = face, None
        self._enter(Phase.LEAVING, at_ms)

    def _wait(self, at_ms: float, *, explain_ms: float = 0.0) -> None:
        """Let a random time pass before the challenge, so that it cannot be foreseen."""
        policy = self.policy
        self._enter(Phase.WAITING, at_ms)
        wait_ms = random_ms(self._draw, policy.wait_min_ms, policy.wait_max_ms)
        self._visit.ask_at_ms = at_ms + explain_ms + wait_ms

    def _challenge(self, at_ms: float) -> None:
        """Draw what is asked of this person now."""
        nonce = new_nonce(self._draw)
        choices, done = self._choices(at_ms), self._visit.done
        begun = tuple(deed.action for deed in done)
        going_on = tuple(
            one for one in choices if len(one) > len(begun) and one[: len(begun)] == begun
        )
        if not going_on:
            going_on, done = choices, []
        self._last_actions = drawn(nonce, going_on, last=self._last_actions)
        thresholds = self._action_thresholds
        if self._visit.level is Level.BLINK:
            thresholds = replace(thresholds, other_share=math.inf)
        self._visit.challenge = Challenge(
            nonce=nonce,
            actions=self._last_actions,
            rest=self._visit.rest.posture,
            at_ms=at_ms,
            policy=self.policy,
            thresholds=thresholds,
            draw=self._draw,
            held=self._visit.level is Level.STRICT,
            done=done,
        )
        self._enter(Phase.CHALLENGE, at_ms)

    def _choices(self, at_ms: float) -> tuple[Actions, ...]:
        level, missed = self._visit.level, set(self._visit.missed)
        if level is Level.BLINK:
            return sequences(level)
        unable = frozenset(KIND_OF[one] for one in missed - {Action.BLINK_TWICE})
        possible = sequences(level, unable=unable, more=len(self._wrong_lately(at_ms)))
        return tuple(one for one in possible if not missed & set(one))

    def _wrong_lately(self, at_ms: float) -> list[float]:
        """When something else was done than what was asked, whoever stood there."""
        since_ms = at_ms - self.policy.wrong_within_ms
        return [one for one in self._wrong_at_ms if one > since_ms]

    # What is shown of life

    def _likeness_asked(self, challenge: Challenge) -> float:
        if challenge.asked in BLINKS:
            return self.policy.same_face_similarity_closed
        return self.policy.same_face_similarity_moved

    def _movement(self, face: Face) -> Movement:
        rest = self._visit.rest.posture
        return Movement.between(rest, Posture.of(face), self._action_thresholds)

    def _glasses_hint(self, at_ms: float) -> Hint | None:
        """That glasses are better taken off, where landmarks take them for lids."""
        visit, policy = self._visit, self.policy
        if visit.challenge is not None:
            return None
        if self._unsteady_since_ms is None and visit.tracker.unsteady:
            self._unsteady_since_ms = at_ms
        if self._unsteady_since_ms is None:
            return None
        since_ms = at_ms - self._unsteady_since_ms
        longest_ms = policy.glasses_max_ms if visit.tracker.unsteady else policy.glasses_min_ms
        return Hint.GLASSES if since_ms < longest_ms else None

    def _is_at_rest(self, face: Face) -> bool:
        return self._movement(face).from_rest < self._action_thresholds.rest_share

    def _way_back(self, face: Face) -> Hint:
        """What brings a face that is not at rest back to it."""
        if self._movement(face).head < self._action_thresholds.rest_share:
            return Hint.CLOSE_MOUTH
        return Hint.STRAIGHT

    def _hint_in(self, challenge: Challenge, at_ms: float) -> Hint | None:
        """What the person is to do next, or None where the phase says it."""
        if self._phase is not Phase.CHALLENGE:
            return None
        if challenge.asked is not None:
            if challenge.is_held:
                return Hint.HOLD
            if challenge.was_left_early:
                return Hint.HOLD_LONGER
            if challenge.is_half_way(at_ms):
                return HINT_HALF_WAY[challenge.asked]
            unseen = challenge.is_not_seen(at_ms)
            return (HINT_NOT_SEEN if unseen else HINT_FOR_ACTION)[challenge.asked]
        movement = challenge.movement
        closes = movement.mouth >= self._action_thresholds.rest_share > movement.head
        return Hint.CLOSE_MOUTH if closes else Hint.STRAIGHT

    def _model_agrees(self) -> bool:
        """Without an answer of the model, a required one is none."""
        if self._anti_spoofing is not AntiSpoofing.REQUIRED:
            return True
        confidence = self._visit.live_confidence
        return confidence is not None and confidence >= self.policy.live_confidence

    # Checks

    def _is_same_place(self, face: Face, at_ms: float) -> bool:
        assert self._visit.face is not None  # noqa: S101 -- for the type checker
        return (
            at_ms - self._visit.seen_at_ms <= self.policy.max_gap_ms
            and face.box.iou(self._visit.face.box) >= self.policy.min_overlap
        )

    def _problem(self, analysis: FrameAnalysis, face: Face) -> Problem | None:
        """The first thing in the way. Closed eyes are none once a blink may come."""
        if analysis.has_bystander(self.policy.bystander_share):
            return Problem.SEVERAL_FACES
        forgiven = set() if self._phase is Phase.GUIDING else {Problem.EYES_CLOSED}
        if self._visit.challenge is not None and self._visit.level is not Level.BLINK:
            forgiven.add(Problem.TURNED)
        return next((one for one in face.quality.problems if one not in forgiven), None)

    def _tolerates(self, problem: Problem, at_ms: float) -> bool:
        """Whether a bad frame is passed over: a check-in under way survives a short one."""
        return (
            self._phase in (Phase.WAITING, Phase.CHALLENGE, Phase.MATCHING)
            and problem is not Problem.SEVERAL_FACES
            and at_ms - self._visit.good_at_ms <= self.policy.max_gap_ms
        )

    # Answers

    def _answer(
        self,
        *,
        hint: Hint | None = None,
        probe: LiveProbe | None = None,
        refusal: Refusal | None = None,
        ended: PassEnd | None = None,
    ) -> Step:
        return answer(
            self._phase,
            self._visit,
            self.policy,
            hint=hint,
            probe=probe,
            refusal=refusal,
            ended=ended,
        )
