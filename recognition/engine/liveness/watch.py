"""The passive checks over all frames of one check-in."""

from __future__ import annotations

from collections.abc import Iterator

from recognition.engine.liveness.actions import Action
from recognition.engine.liveness.alignment import placement
from recognition.engine.liveness.continuity import Continuity
from recognition.engine.liveness.depth import Depth
from recognition.engine.liveness.findings import Finding, Refusal
from recognition.engine.liveness.lids import Lids
from recognition.engine.liveness.observation import Check, Measure, Observation
from recognition.engine.liveness.repetition import Repetition
from recognition.engine.liveness.screen import Screen
from recognition.engine.thresholds import PassiveThresholds
from recognition.engine.types import Face, FrameAnalysis


class PassiveWatch:
    """Follows one face from its first good frame to the verdict. Pure, like the dialogue.

    Frames without cues are judged by landmarks and time alone.
    """

    def __init__(self, limits: PassiveThresholds | None = None) -> None:
        limits = limits or PassiveThresholds()
        self._checks: tuple[Check, ...] = (
            Continuity(limits),
            Repetition(limits),
            Screen(limits),
            Depth(limits),
            Lids(limits),
        )

    def add(
        self,
        analysis: FrameAnalysis,
        face: Face,
        at_ms: float,
        *,
        action: Action | None,
        eyes_closed: bool,
    ) -> None:
        """Take the next frame; ``action`` is what the person is asked to do just now."""
        place = placement(face.landmarks)
        if place is None:
            return
        seen = Observation(at_ms, face, place, analysis.cues, action, eyes_closed)
        for check in self._checks:
            check.add(seen)

    def finding(self, *, complete: bool) -> Finding | None:
        """The first check that the face does not stand, or None.

        ``complete``: nothing more will come, so that what has not been shown counts as missing.
        """
        refused = [m for m in self._measures() if m.refused and (complete or m.final)]
        # Who is found out otherwise is not told that frames came too rarely.
        refused.sort(key=lambda measure: measure.reason is Refusal.TOO_SLOW)
        return refused[0].finding() if refused else None

    def trace(self) -> dict[str, float]:
        """Each check's figure, for the attempt, but for those that have seen too little."""
        return {measure.check: round(measure.figure, 3) for measure in self._measures()}

    def _measures(self) -> Iterator[Measure]:
        for check in self._checks:
            yield from check.measures()
