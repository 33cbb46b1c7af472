"""One clip, played through the engine and the dialogue until there is a verdict."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from recognition.engine.analysis import Analyser
from recognition.engine.attacks.performance import Prompt
from recognition.engine.attacks.portraits import Portrait
from recognition.engine.attacks.species import Clip, Species, attack_clip, live_clip
from recognition.engine.dialogue import ASKS_FOR_MORE, CheckInDialogue, Hint, Phase, Step
from recognition.engine.gallery import similarity
from recognition.engine.images import decode_frame
from recognition.engine.liveness.actions import Action, Level
from recognition.engine.types import Box, Embedding, FrameRequest, Image

#: A kiosk's page takes so many frames a second of what its camera gives, and no more.
KIOSK_FPS = 12.0
#: Who has not got in after this long has not got in.
PATIENCE_MS = 40_000.0
#: The usual way: both eyes' mean EAR below this in so many frames in a row is a blink
#: (Rosebrock, "Eye blink detection with OpenCV, Python, and dlib", 2017).
TUTORIAL_EAR = 0.2
TUTORIAL_FRAMES = 3
#: How much longer than the quickest a frame takes from camera to server, in the mean, by clip.
_MEAN_DELAY_MS = (2.0, 25.0)
_BLINK_ASKED_MS = 1000.0
_BLINK_WAITED_MS = 5000.0
_FRAMES_FOR_MODEL = 5
_NO_VERDICT = "no_verdict"


class Line:
    """The way from camera to server: some frames take longer than others, none overtakes one."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 2])
        self._mean_ms = self._rng.uniform(*_MEAN_DELAY_MS)
        self._last_ms = 0.0

    def arrives_ms(self, taken_ms: float) -> float:
        self._last_ms = max(self._last_ms, taken_ms + self._rng.exponential(self._mean_ms))
        return self._last_ms


class SpoofModel(Protocol):
    """An anti-spoofing model, such as `recognition.engine.anti_spoofing.FasNet`."""

    def live_confidence(self, frame: Image, box: Box) -> float:
        """How sure it is that the face is live, 0 to 1; from 0.5 on it says so."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """Who stands before the camera and how: an attack of this species, or a living person.

    The same seed gives the same clip, as far as it is asked the same.
    """

    species: Species | None
    seed: int
    person: Portrait
    embedding: Embedding
    attacker: Portrait | None = None
    attacker_embedding: Embedding | None = None

    def clip(self, level: Level) -> Clip:
        if self.species is None:
            return live_clip(self.person, self.seed)
        if self.attacker is None:
            raise ValueError(f"got {self.species} without an attacker, expected one")
        return attack_clip(self.species, self.person, self.attacker, self.seed, level=level)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a clip ended.

    ``accepted``: a probe was given, and not one of the attacker's own face. ``reason`` is the
    refusal, ``no_verdict`` where the clip's time ran out, or empty.
    """

    accepted: bool
    reason: str
    after_ms: float
    frames: int
    trace: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baselines:
    """What two other ways say of a clip in which one blink is asked for; None: not installed."""

    blink: bool
    spoof_model: bool | None


def play(trial: Trial, analyser: Analyser, level: Level) -> Verdict:
    """Show the clip to a kiosk that asks as ``level`` says."""
    dialogue = CheckInDialogue(draw=random.Random(trial.seed).random, liveness=level)  # noqa: S311
    clip, line, prompt, at_ms, frames = trial.clip(level), Line(trial.seed), Prompt(), 0.0, 0
    while at_ms < PATIENCE_MS:
        frames += 1
        analysis = analyser.analyse_frame(clip.jpeg(at_ms, prompt), dialogue.request())
        step = dialogue.step(analysis, line.arrives_ms(at_ms))
        if step.probe is not None:
            own = _is_attackers_own(trial, step.probe.embedding)
            reason = "attackers_own_face" if own else ""
            return Verdict(not own, reason, at_ms, frames, step.probe.trace)
        if step.refusal is not None:
            return Verdict(False, step.refusal, at_ms, frames, step.trace)
        prompt = _read_by_the_person(step)
        at_ms = _next_taken_ms(clip, at_ms)
    return Verdict(False, _NO_VERDICT, at_ms, frames)


def play_for_baselines(
    trial: Trial, analyser: Analyser, spoof_model: SpoofModel | None
) -> Baselines:
    """Ask the clip for one blink, and look at it in the two other ways."""
    clip, at_ms, below, blinked = trial.clip(Level.BLINK), 0.0, 0, False
    near: Box | None = None
    seen: list[tuple[bytes, Box]] = []
    while at_ms < _BLINK_WAITED_MS and not (blinked and len(seen) >= _FRAMES_FOR_MODEL):
        asked = None if at_ms < _BLINK_ASKED_MS or blinked else Action.BLINK_ONCE
        jpeg = clip.jpeg(at_ms, Prompt(asked))
        face = analyser.analyse_frame(jpeg, FrameRequest(near=near, count_faces=False)).main_face
        near = face.box if face else None
        below = below + 1 if face and face.ear < TUTORIAL_EAR else 0
        blinked = blinked or below >= TUTORIAL_FRAMES
        if face is not None and len(seen) < _FRAMES_FOR_MODEL:
            seen.append((jpeg, face.box))
        at_ms = _next_taken_ms(clip, at_ms)
    return Baselines(blinked, _model_says(spoof_model, seen))


def _model_says(model: SpoofModel | None, seen: list[tuple[bytes, Box]]) -> bool | None:
    if model is None:
        return None
    confidences = [model.live_confidence(decode_frame(jpeg), box) for jpeg, box in seen]
    return bool(confidences) and float(np.mean(confidences)) >= 0.5


def _next_taken_ms(clip: Clip, at_ms: float) -> float:
    """When the page takes the next frame: of a quicker camera it passes some over."""
    earliest_ms = at_ms + 1000 / KIOSK_FPS
    at_ms = clip.next_ms(at_ms)
    while at_ms < earliest_ms:
        at_ms = clip.next_ms(at_ms)
    return at_ms


def _read_by_the_person(step: Step) -> Prompt:
    return Prompt(
        action=step.asked.action if step.asked else None,
        more=step.hint in ASKS_FOR_MORE,
        glasses_off=step.hint is Hint.GLASSES,
        done=step.phase is Phase.MATCHING,
    )


def _is_attackers_own(trial: Trial, probe: Embedding) -> bool:
    """Whether the probe is of the attacker: that is a check-in under the own name."""
    if trial.attacker_embedding is None or trial.species is not Species.FACE_SWAP:
        return False
    return similarity(probe, trial.attacker_embedding) > similarity(probe, trial.embedding)
