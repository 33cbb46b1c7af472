"""Each kind of attack, and the living person, as a clip that answers to what it is asked.

An attacker reacts as well as the attack can: paper is tilted where a turn is asked for, eyes blink
behind the holes of a mask, a video plays what was guessed when it was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Protocol

import cv2
import numpy as np

from recognition.engine.attacks.camera import Camera, Grain, decoded, encoded
from recognition.engine.attacks.displays import Display
from recognition.engine.attacks.performance import (
    HOLD_MS,
    REST,
    Expression,
    Gesture,
    Idle,
    Performer,
    Prompt,
    Recording,
    gesture,
    one_after_another,
)
from recognition.engine.attacks.portraits import (
    Portrait,
    surrounded,
    with_glasses,
    with_hands_at_eyes,
    without_black_corners,
)
from recognition.engine.attacks.sheets import Placement, bent_sheet, flat_sheet
from recognition.engine.geometry import LEFT_EYE, RIGHT_EYE, face_height_px
from recognition.engine.liveness.actions import Action, Level, sequences
from recognition.engine.synthesis import AnimatedPortrait, eyes_closed
from recognition.engine.thresholds import DialoguePolicy
from recognition.engine.types import Image, Points

FRAME_SIZE = 640, 480
_FACE_SHARE = (0.38, 0.55)
# A head that stands sways by some millimetres, of which one is 1.1 to 1.6 px here.
_JITTER_PX = (3.0, 9.0)
_GLASSES_SHARE = 0.25
_GLASSES_OFF_AFTER_MS = (800.0, 2200.0)
_GLASSES_OFF_MS = (500.0, 1000.0)
# What a hand that holds something does by itself: pixels, degrees.
_TREMOR_HZ = (0.4, 1.1, 2.3)
_TREMOR_PX = 5.0
_TREMOR_DEGREES = 1.5
# An attacker's software answers faster than a hand, and not faster than anybody could.
_INJECTION_REACTION_MS = (160.0, 400.0)
_FRESH_GRAIN = (0.5, 2.0)


class Species(StrEnum):
    """Values are stable: reports and the command line name them."""

    PRINT = "print"
    BENT_PRINT = "bent_print"
    CUT_EYES = "cut_eyes"
    PHONE_REPLAY = "phone_replay"
    LAPTOP_REPLAY = "laptop_replay"
    LOOPED_INJECTION = "looped_injection"
    DUPLICATED_FRAMES = "duplicated_frames"
    REORDERED_FRAMES = "reordered_frames"
    FACE_SWAP = "face_swap"


class Clip(Protocol):
    """What reaches the kiosk. Times are milliseconds and never go back."""

    def jpeg(self, at_ms: float, prompt: Prompt) -> bytes:
        """The frame that is taken at this moment by whoever sees this prompt."""
        ...

    def next_ms(self, at_ms: float) -> float:
        """When the next frame comes."""
        ...


Scene = Callable[[float, Prompt], Image]


class Filmed:
    """A clip of something that stands before the camera."""

    def __init__(self, camera: Camera, scene: Scene) -> None:
        self._camera = camera
        self._scene = scene

    def jpeg(self, at_ms: float, prompt: Prompt) -> bytes:
        return self._camera.jpeg(self._scene(at_ms, prompt))

    def next_ms(self, at_ms: float) -> float:
        return self._camera.next_ms(at_ms)


def live_clip(person: Portrait, seed: int, *, fps: float | None = None) -> Clip:
    """Somebody who is there and does what is asked; some wear glasses until told otherwise."""
    rng = np.random.default_rng(seed)
    camera = Camera(seed, fps=fps)
    person = without_black_corners(person)
    worn = with_glasses(person, rng) if rng.random() < _GLASSES_SHARE else None
    return Filmed(camera, _live_scene(person, worn, rng))


def attack_clip(
    species: Species,
    victim: Portrait,
    attacker: Portrait,
    seed: int,
    *,
    level: Level = Level.CHALLENGE,
    fps: float | None = None,
) -> Clip:
    """One attack by ``attacker`` who wants to be taken for ``victim`` where ``level`` is asked."""
    rng = np.random.default_rng(seed)
    victim, attacker = without_black_corners(victim), without_black_corners(attacker)
    return _CLIPS[species](victim, attacker, level, rng, Camera(seed, fps=fps))


# People


def _animated(
    person: Portrait, rng: np.random.Generator, *, share: float | None = None
) -> AnimatedPortrait:
    person = surrounded(person)
    return AnimatedPortrait(
        person.image,
        landmarks=person.landmarks,
        width=FRAME_SIZE[0],
        height=FRAME_SIZE[1],
        face_height_share=share or rng.uniform(*_FACE_SHARE),
        jitter_px=rng.uniform(*_JITTER_PX),
        seed=int(rng.integers(2**31)),
    )


def _shown(face: AnimatedPortrait, at_ms: float, moment: Expression) -> Image:
    return face.frame(
        at_ms / 1000,
        closure=moment.closure,
        yaw=moment.yaw,
        pitch=moment.pitch,
        mouth=moment.mouth,
    )


def _live_scene(person: Portrait, worn: Portrait | None, rng: np.random.Generator) -> Scene:
    seed = int(rng.integers(2**31))

    def animated(look: Portrait) -> AnimatedPortrait:
        return _animated(look, np.random.default_rng(seed))

    bare = animated(person)
    performer = Performer(rng, idle=Idle(rng))
    if worn is None:
        return lambda at_ms, prompt: _shown(bare, at_ms, performer.at(at_ms, prompt))
    with_them, covered = animated(worn), animated(with_hands_at_eyes(person))
    hands_up_ms = hands_down_ms = math.inf

    def scene(at_ms: float, prompt: Prompt) -> Image:
        nonlocal hands_up_ms, hands_down_ms
        if prompt.glasses_off and hands_up_ms == math.inf:
            hands_up_ms = at_ms + rng.uniform(*_GLASSES_OFF_AFTER_MS)
            hands_down_ms = hands_up_ms + rng.uniform(*_GLASSES_OFF_MS)
        moment = performer.at(at_ms, prompt)
        if at_ms < hands_up_ms:
            return _shown(with_them, at_ms, moment)
        return _shown(covered if at_ms < hands_down_ms else bare, at_ms, moment)

    return scene


# Paper


class _Hand:
    """Holds a sheet: trembles, and tilts it as far as asked where a head would turn."""

    def __init__(self, rng: np.random.Generator, *, tilts: bool = True) -> None:
        self._phases = rng.uniform(0, 2 * math.pi, (5, len(_TREMOR_HZ)))
        self._steadiness = rng.uniform(0.3, 1.0)
        self._performer = Performer(rng)
        self._far = rng.uniform(1.0, 2.2)
        self._tilts = tilts

    def at(self, at_ms: float, prompt: Prompt) -> Placement:
        angles = 2 * math.pi * at_ms / 1000 * np.array(_TREMOR_HZ) + self._phases
        right, down, yaw, pitch, roll = (self._steadiness * np.sin(angles).mean(axis=1)).tolist()
        asked = self._performer.at(at_ms, prompt) if self._tilts else REST
        # A blink or an open mouth can only be tried by nodding the sheet quickly.
        nod = 22 * asked.closure - 15 * asked.mouth
        return Placement(
            yaw=yaw * _TREMOR_DEGREES + self._far * asked.yaw,
            pitch=pitch * _TREMOR_DEGREES + self._far * asked.pitch + nod,
            roll=roll * _TREMOR_DEGREES,
            right=right * _TREMOR_PX + 1.5 * asked.yaw,
            down=down * _TREMOR_PX - 1.5 * asked.pitch,
        )


def _printed(person: Portrait, rng: np.random.Generator) -> Portrait:
    """The picture on paper: less contrast, the paper's white, a border, the printer's grain."""
    share = rng.uniform(*_FACE_SHARE)
    scale = share * FRAME_SIZE[1] / face_height_px(person.landmarks)
    size = round(person.image.shape[1] * scale), round(person.image.shape[0] * scale)
    enlarged = cv2.resize(person.image, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    grain = rng.normal(0, rng.uniform(0.5, 4), enlarged.shape[:2])[..., None]
    inked = rng.uniform(12, 35) + rng.uniform(0.75, 0.95) * enlarged + grain
    border = round(rng.uniform(0, 40))
    paper = cv2.copyMakeBorder(
        np.clip(inked, 0, 255).astype(np.uint8),
        border, border, border, border,
        cv2.BORDER_CONSTANT,
        value=(235, 233, 228),
    )  # fmt: skip
    return Portrait(
        np.asarray(paper, np.uint8), (person.landmarks * scale + border).astype(np.float32)
    )


def _face_to_the_middle(sheet: Portrait) -> tuple[float, float]:
    """How far right and down the sheet is held for its face to be in the frame's middle."""
    height, width = sheet.image.shape[:2]
    middle = (sheet.landmarks.min(axis=0) + sheet.landmarks.max(axis=0)) / 2
    right, down = (np.array([width, height]) / 2 - middle).tolist()
    return right, down


def _held(placement: Placement, at: tuple[float, float]) -> Placement:
    return Placement(
        placement.yaw,
        placement.pitch,
        placement.roll,
        placement.right + at[0],
        placement.down + at[1],
        placement.away,
    )


def _room(rng: np.random.Generator, somebody: Portrait) -> Image:
    """What is behind a sheet: the blurred picture of wherever the attacker is."""
    blurred = cv2.GaussianBlur(cv2.resize(somebody.image, FRAME_SIZE), (0, 0), 22)
    return np.asarray(cv2.convertScaleAbs(blurred, alpha=rng.uniform(0.5, 1.1)), np.uint8)


def _print_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    sheet, room, hand = _printed(victim, rng), _room(rng, attacker), _Hand(rng)
    middle = _face_to_the_middle(sheet)

    def scene(at_ms: float, prompt: Prompt) -> Image:
        return flat_sheet(sheet.image, _held(hand.at(at_ms, prompt), middle), room)

    return Filmed(camera, scene)


def _bent_print_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    """Bent as a face is, and a little more or less as it is turned."""
    sheet, room, hand = _printed(victim, rng), _room(rng, attacker), _Hand(rng)
    middle = _face_to_the_middle(sheet)
    face_px = face_height_px(sheet.landmarks)
    # From slightly bent to around a head: its radius is about half of a face's height.
    curvature = 1 / (face_px * rng.uniform(0.55, 2.5))
    upright = bool(rng.random() < 0.75)
    bends_more = rng.uniform(0.0, 0.02)

    def scene(at_ms: float, prompt: Prompt) -> Image:
        placement = _held(hand.at(at_ms, prompt), middle)
        now = curvature * (1 + bends_more * abs(placement.yaw))
        return bent_sheet(sheet.image, placement, room, curvature=now, upright=upright)

    return Filmed(camera, scene)


@dataclass(frozen=True, slots=True)
class _Hole:
    """One hole: where it is in the sheet's picture, its shape, and the eye behind it."""

    left: int
    top: int
    share: np.ndarray
    light: np.ndarray
    motion: np.ndarray


class _Mask:
    """A print with holes for the eyes; behind them are the attacker's."""

    _HOLE_GROWTH = (1.1, 1.6)
    _BEHIND_SHARE = 0.035  # of the face's height

    def __init__(self, victim: Portrait, attacker: Portrait, rng: np.random.Generator) -> None:
        self.sheet = _printed(victim, rng)
        self._attacker = attacker
        self._growth = rng.uniform(*self._HOLE_GROWTH)
        self._behind_px = self._BEHIND_SHARE * face_height_px(self.sheet.landmarks)
        self._holes = [
            self._hole(self.sheet.landmarks[eye], attacker.landmarks[eye])
            for eye in (RIGHT_EYE, LEFT_EYE)
        ]

    def with_eyes(self, moment: Expression) -> Image:
        """The sheet's picture with the eyes behind it, this far closed."""
        eyes = eyes_closed(self._attacker.image, self._attacker.landmarks, moment.closure)
        seen = self.sheet.image.copy()
        for hole in self._holes:
            # What is further behind moves against the sheet as it is turned.
            motion = hole.motion.copy()
            motion[0, 2] -= self._behind_px * math.tan(math.radians(moment.yaw))
            motion[1, 2] += self._behind_px * math.tan(math.radians(moment.pitch))
            height, width = hole.share.shape[:2]
            behind = cv2.warpAffine(
                eyes,
                motion,
                (width, height),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REPLICATE,
            )
            place = seen[hole.top : hole.top + height, hole.left : hole.left + width]
            mixed = place * (1 - hole.share) + behind * hole.light * hole.share
            place[:] = np.rint(mixed).clip(0, 255)
        return seen

    def _hole(self, eye: Points, behind: Points) -> _Hole:
        middle = eye.mean(axis=0)
        outline = middle + (eye - middle) * np.array([1.08, self._growth])
        margin = 4 + 2 * self._behind_px
        left, top = np.floor(outline.min(axis=0) - margin).astype(int).tolist()
        right, bottom = np.ceil(outline.max(axis=0) + margin).astype(int).tolist()
        left, top = max(0, left), max(0, top)
        height, width = self.sheet.image.shape[:2]
        cut = np.zeros((min(bottom, height) - top, min(right, width) - left), np.uint8)
        sixteenths = np.rint((outline - [left, top]) * 16).astype(np.int32)
        cv2.fillPoly(cut, [sixteenths], 255, cv2.LINE_AA, 4)
        # The paper throws its shadow on what is behind it.
        shade = cv2.GaussianBlur(255 - cut, (0, 0), max(0.8, 0.3 * self._behind_px))
        return _Hole(
            left,
            top,
            share=cut[..., None].astype(np.float32) / 255,
            light=1 - 0.5 * shade[..., None].astype(np.float32) / 255,
            motion=_eye_to_eye(behind, eye - np.array([left, top], np.float32)),
        )


def _eye_to_eye(source: Points, target: Points) -> np.ndarray:
    """The similarity that lays one eye's corners on the other's, ``(2, 3)``."""
    (ax, ay), (bx, by) = source[0].tolist(), source[3].tolist()
    (cx, cy), (dx, dy) = target[0].tolist(), target[3].tolist()
    turn = complex(dx - cx, dy - cy) / complex(bx - ax, by - ay)
    shift = complex(cx, cy) - turn * complex(ax, ay)
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _cut_eyes_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    """Worn before the face: it turns with the head, lies around it more or less, and blinks."""
    mask, room = _Mask(victim, attacker, rng), _room(rng, attacker)
    wearer, hand = Performer(rng, idle=Idle(rng)), _Hand(rng, tilts=False)
    middle = _face_to_the_middle(mask.sheet)
    face_px = face_height_px(mask.sheet.landmarks)
    curvature = 0.0 if rng.random() < 0.4 else 1 / (face_px * rng.uniform(0.6, 2.0))

    def scene(at_ms: float, prompt: Prompt) -> Image:
        moment, held = wearer.at(at_ms, prompt), hand.at(at_ms, prompt)
        placement = Placement(
            yaw=moment.yaw + 0.3 * held.yaw,
            pitch=moment.pitch + 0.3 * held.pitch,
            roll=held.roll,
            # The mask is in front of the axis about which the head turns.
            right=middle[0] + held.right + 0.6 * face_px * math.sin(math.radians(moment.yaw)),
            down=middle[1] + held.down - 0.6 * face_px * math.sin(math.radians(moment.pitch)),
        )
        return bent_sheet(mask.with_eyes(moment), placement, room, curvature=curvature)

    return Filmed(camera, scene)


# Displays


class _Video:
    """A recording of the victim that starts over when it is at its end; the actions are guessed.

    The attacker starts the guessed part when anything is asked for the first time.
    """

    _RATE = 30.0
    _QUALITY = (55, 90)

    def __init__(self, victim: Portrait, level: Level, rng: np.random.Generator) -> None:
        self._face = _animated(victim, rng)
        self._level = level
        self._rng = rng
        self._recording = Recording([], Idle(rng))
        self._started = False
        self._quality = int(rng.integers(*self._QUALITY))

    def at(self, at_ms: float, prompt: Prompt) -> Image:
        if prompt.action is not None and not self._started:
            self._started = True
            self._recording.gestures, _ = _guessed(self._level, 2, at_ms, self._rng)
        shown_ms = math.floor(at_ms * self._RATE / 1000) * 1000 / self._RATE
        image = _shown(self._face, shown_ms, self._recording.at(shown_ms))
        return decoded(encoded(image, self._quality))


def _guessed(
    level: Level, sequences_of_it: int, from_ms: float, rng: np.random.Generator
) -> tuple[list[Gesture], float]:
    """So many of the sequences that the level may ask for, one after the other, and their end.

    Half of the attackers know a kiosk's times: they leave as much between two actions as it does,
    and stay for as long as it asks for.
    """
    choices = sequences(level)
    guessed = [choices[int(rng.integers(len(choices)))] for _ in range(sequences_of_it)]
    actions = chain.from_iterable(guessed)
    if rng.random() < 0.5:
        return one_after_another(actions, from_ms, rng)
    policy = DialoguePolicy()
    pause_ms = policy.pause_min_ms, policy.pause_max_ms
    hold_ms = (policy.hold_min_ms, policy.hold_max_ms) if level is Level.STRICT else HOLD_MS
    return one_after_another(actions, from_ms, rng, pause_ms=pause_ms, hold_ms=hold_ms)


def _phone_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    display = Display.drawn(rng, pixels_per_px=(1.5, 2.6), bezel_px=14)
    video, room, hand = _Video(victim, level, rng), _room(rng, attacker), _Hand(rng, tilts=False)
    away = rng.uniform(-80, 120)
    # Held upright the phone shows the middle of the video, held across all of it.
    across = bool(rng.random() < 0.5)

    def scene(at_ms: float, prompt: Prompt) -> Image:
        shown = video.at(at_ms, prompt)
        if not across:
            shown = np.ascontiguousarray(shown[:, 140:500])
        held = hand.at(at_ms, prompt)
        placement = Placement(held.yaw, held.pitch, held.roll, held.right, held.down, away)
        return display.seen(shown, placement, room, at_ms)

    return Filmed(camera, scene)


def _laptop_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    """Stands still before the camera and fills most of the frame, or more."""
    display = Display.drawn(rng, pixels_per_px=(0.8, 1.7), bezel_px=18)
    video, room = _Video(victim, level, rng), _room(rng, attacker)
    placement = Placement(
        yaw=rng.uniform(-8, 8),
        pitch=rng.uniform(-8, 8),
        roll=rng.uniform(-2, 2),
        right=rng.uniform(-25, 25),
        down=rng.uniform(-20, 20),
        away=rng.uniform(-160, 90),
    )

    def scene(at_ms: float, prompt: Prompt) -> Image:
        return display.seen(video.at(at_ms, prompt), placement, room, at_ms)

    return Filmed(camera, scene)


# Injection: no camera looks at anything, software sends frames that were recorded before


class _Recorder:
    """Films the victim once, frame by frame, and sends what was filmed again.

    A frame is sent as it is, or, in two of three clips, decoded and made anew: brighter or darker,
    with fresh noise, at another quality.
    """

    def __init__(self, victim: Portrait, rng: np.random.Generator, camera: Camera) -> None:
        self._face = _animated(victim, rng)
        self._rng = rng
        self._camera = camera
        self._idle = Idle(rng)
        self._clock_ms = 0.0
        self._made_anew = bool(rng.random() < 2 / 3)
        # The same for all frames: light that jumped would give it away as a screen's flicker.
        self._gain = rng.uniform(0.9, 1.1)
        self._quality = int(rng.integers(75, 95))
        self._grain = Grain(rng, *FRAME_SIZE, deviation=rng.uniform(*_FRESH_GRAIN))

    def take(self, gestures: Sequence[Gesture], duration_ms: float) -> list[bytes]:
        """``duration_ms`` of the victim doing this; the gestures' times count from its start."""
        step_ms, frames = 1000 / self._camera.fps, []
        for number in range(max(2, round(duration_ms / step_ms))):
            at_ms = number * step_ms
            moment = Recording(gestures, self._idle).at(at_ms)
            # The idle head goes on through all takes, as it would in one long recording.
            image = _shown(self._face, self._clock_ms + at_ms, moment)
            frames.append(self._camera.jpeg(image))
        self._clock_ms += len(frames) * step_ms
        return frames

    def send(self, frame: bytes) -> bytes:
        if not self._made_anew:
            return frame
        image = cv2.convertScaleAbs(decoded(frame), alpha=self._gain)
        grainy = self._grain.over(np.asarray(image, np.uint8), self._rng)
        return encoded(grainy, self._quality)

    def next_ms(self, at_ms: float) -> float:
        return self._camera.next_ms(at_ms)


class _Loop:
    """One cycle with a guessed answer, over and over; forwards and backwards in half of them."""

    def __init__(
        self, victim: Portrait, level: Level, rng: np.random.Generator, camera: Camera
    ) -> None:
        self._recorder = _Recorder(victim, rng, camera)
        before_ms = rng.uniform(300, 1500)
        gestures, ends_ms = _guessed(level, 1, before_ms, rng)
        frames = self._recorder.take(gestures, ends_ms + rng.uniform(200, 600))
        self._cycle = frames + frames[-2:0:-1] if rng.random() < 0.5 else frames
        self._sent = 0

    def jpeg(self, at_ms: float, prompt: Prompt) -> bytes:
        frame = self._cycle[self._sent % len(self._cycle)]
        self._sent += 1
        return self._recorder.send(frame)

    def next_ms(self, at_ms: float) -> float:
        return self._recorder.next_ms(at_ms)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """One action, and how many of its frames, from the last back, are played in any case."""

    frames: list[bytes]
    last_frames: int


class _Library:
    """A recording of every action, played when it is asked for; in between, idle frames wait.

    Half of the attackers know that movements may have to be kept up: theirs last for long, and what
    is left of it is passed over once the way back is told.

    ``order`` chooses the idle frame: from the number of frames sent while waiting so far, over all
    waits, and the number of idle frames that there are.
    """

    def __init__(
        self,
        victim: Portrait,
        level: Level,
        rng: np.random.Generator,
        camera: Camera,
        *,
        order: Callable[[int, int], int],
    ) -> None:
        self._recorder = _Recorder(victim, rng, camera)
        self._rng = rng
        self._order = order
        self._idle = self._recorder.take([], rng.uniform(900, 2200))
        self._stays = level is Level.STRICT and bool(rng.random() < 0.5)
        self._actions: dict[Action, _Recorded] = {}
        self._waited = 0
        self._asked: Action | None = None
        self._answers_from_ms = math.inf
        self._playing: list[bytes] = []
        self._last_frames = 0

    def jpeg(self, at_ms: float, prompt: Prompt) -> bytes:
        if prompt.action is not self._asked:
            self._asked = prompt.action
            self._answers_from_ms = at_ms + self._rng.uniform(*_INJECTION_REACTION_MS)
        if at_ms >= self._answers_from_ms:
            if self._asked is None:
                del self._playing[: -self._last_frames]
            elif not self._playing:
                recorded = self._recorded(self._asked)
                self._playing, self._last_frames = list(recorded.frames), recorded.last_frames
                self._answers_from_ms = at_ms + 2500
        if self._playing:
            return self._recorder.send(self._playing.pop(0))
        frame = self._idle[self._order(self._waited, len(self._idle))]
        self._waited += 1
        return self._recorder.send(frame)

    def next_ms(self, at_ms: float) -> float:
        return self._recorder.next_ms(at_ms)

    def _recorded(self, action: Action) -> _Recorded:
        if action not in self._actions:
            one = gesture(action, 60.0, self._rng)
            back_from_ms = 0.0
            if not one.is_blink:
                stays_ms = DialoguePolicy().hold_max_ms if self._stays else 0.0
                one.until_ms = one.from_ms + one.ramp_ms + stays_ms + self._rng.uniform(300, 700)
                back_from_ms = one.until_ms if self._stays else 0.0
            ends_ms = one.ends_ms + 150
            frames = self._recorder.take([one], ends_ms)
            last_frames = math.ceil((1 - back_from_ms / ends_ms) * len(frames))
            self._actions[action] = _Recorded(frames, last_frames)
        return self._actions[action]


def _looped_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    return _Loop(victim, level, rng, camera)


def _duplicated_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    """Each idle frame several times over, so that a short recording lasts, then the last one."""
    times = int(rng.integers(2, 6))

    def order(waited: int, frames: int) -> int:
        return min(waited // times, frames - 1)

    return _Library(victim, level, rng, camera, order=order)


def _reordered_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    """The idle frames forwards and backwards, or shuffled."""
    shuffled = bool(rng.random() < 0.5)
    salt = int(rng.integers(2**31))

    def order(waited: int, frames: int) -> int:
        cycle, place = divmod(waited, frames)
        if shuffled:
            return int(np.random.default_rng(salt + cycle).permutation(frames)[place])
        return place if cycle % 2 == 0 else frames - 1 - place

    return _Library(victim, level, rng, camera, order=order)


def _face_swap_clip(
    victim: Portrait, attacker: Portrait, level: Level, rng: np.random.Generator, camera: Camera
) -> Clip:
    """The attacker does what is asked, and the victim's picture is there for the rest.

    In half of them the picture is there before as well.
    """
    share = rng.uniform(*_FACE_SHARE)
    live, picture = (_animated(one, rng, share=share) for one in (attacker, victim))
    performer = Performer(rng, idle=Idle(rng))
    before_too = bool(rng.random() < 0.5)
    asked_before = False

    def scene(at_ms: float, prompt: Prompt) -> Image:
        nonlocal asked_before
        asked_before = asked_before or prompt.action is not None
        moment = performer.at(at_ms, prompt)
        if prompt.done or (before_too and not asked_before):
            return _shown(picture, at_ms, REST)
        return _shown(live, at_ms, moment)

    return Filmed(camera, scene)


_CLIPS: dict[Species, Callable[[Portrait, Portrait, Level, np.random.Generator, Camera], Clip]] = {
    Species.PRINT: _print_clip,
    Species.BENT_PRINT: _bent_print_clip,
    Species.CUT_EYES: _cut_eyes_clip,
    Species.PHONE_REPLAY: _phone_clip,
    Species.LAPTOP_REPLAY: _laptop_clip,
    Species.LOOPED_INJECTION: _looped_clip,
    Species.DUPLICATED_FRAMES: _duplicated_clip,
    Species.REORDERED_FRAMES: _reordered_clip,
    Species.FACE_SWAP: _face_swap_clip,
}
