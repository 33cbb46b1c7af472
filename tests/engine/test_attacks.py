"""Each simulated attack has what makes it that attack, and simulated people are none of them."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from recognition.engine.analysis import Analyser
from recognition.engine.attacks.camera import FRAME_RATES, Camera, decoded
from recognition.engine.attacks.displays import Display
from recognition.engine.attacks.performance import (
    Expression,
    Gesture,
    Idle,
    Performer,
    Prompt,
    together,
)
from recognition.engine.attacks.portraits import (
    Portrait,
    surrounded,
    with_glasses,
    without_black_corners,
)
from recognition.engine.attacks.sheets import Placement, bent_sheet, flat_sheet, homography
from recognition.engine.attacks.species import Clip, Species, attack_clip, live_clip
from recognition.engine.liveness.actions import Action, Level
from recognition.engine.types import Face, FrameRequest, Image
from tests.support.portraits import as_jpeg, astronaut

FPS = 10.0


@pytest.fixture(scope="module")
def eileen(astronaut_face: Face) -> Portrait:
    return Portrait(astronaut(), astronaut_face.landmarks)


@pytest.fixture(scope="module")
def mirrored(analyser: Analyser) -> Portrait:
    """Somebody else, for attacks that need two: other landmarks, another picture."""
    image = np.ascontiguousarray(astronaut()[:, ::-1])
    face = analyser.analyse_photo(image).main_face
    assert face is not None
    return Portrait(image, face.landmarks)


def frames(clip: Clip, prompts: dict[float, Prompt], *, until_ms: float) -> list[bytes]:
    """What the clip sends, the prompts appearing at these times."""
    sent, at_ms, prompt = [], 0.0, Prompt()
    while at_ms < until_ms:
        prompt = next(
            (one for from_ms, one in reversed(prompts.items()) if at_ms >= from_ms), prompt
        )
        sent.append(clip.jpeg(at_ms, prompt))
        at_ms = clip.next_ms(at_ms)
    return sent


def faces(analyser: Analyser, sent: list[bytes]) -> list[Face]:
    found = (analyser.analyse_frame(jpeg, FrameRequest()).main_face for jpeg in sent)
    return [face for face in found if face is not None]


TURN = {0.0: Prompt(), 500.0: Prompt(Action.TURN_LEFT)}
ASKED_AT_ONCE = {0.0: Prompt(Action.TURN_LEFT)}
BLINK = {0.0: Prompt(), 500.0: Prompt(Action.BLINK_ONCE)}


# Everybody


@pytest.mark.parametrize("species", Species)
def test_the_same_seed_gives_the_same_clip(
    eileen: Portrait, mirrored: Portrait, species: Species
) -> None:
    first, again, other = (
        frames(attack_clip(species, eileen, mirrored, seed, fps=5), ASKED_AT_ONCE, until_ms=500)
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


@pytest.mark.parametrize("species", Species)
def test_the_kiosk_sees_a_face_in_each_attack(
    analyser: Analyser, eileen: Portrait, mirrored: Portrait, species: Species
) -> None:
    sent = frames(attack_clip(species, eileen, mirrored, 3, fps=FPS), {}, until_ms=500)

    found = faces(analyser, sent)
    assert len(found) == len(sent)
    assert np.median([face.quality.face_height_px for face in found]) > 96


# Living people


def test_a_living_person_turns_when_asked_and_not_before(
    analyser: Analyser, eileen: Portrait
) -> None:
    sent = frames(live_clip(eileen, 4, fps=FPS), TURN, until_ms=3000)
    yaws = [face.pose.yaw for face in faces(analyser, sent)]

    before, after = yaws[:7], yaws[7:]
    assert np.ptp(before) < 8
    assert max(after) - np.median(before) > 15


def test_a_living_person_blinks_when_asked(analyser: Analyser, eileen: Portrait) -> None:
    sent = frames(live_clip(eileen, 4, fps=20), BLINK, until_ms=2500)
    ears = [face.ear for face in faces(analyser, sent)]

    assert min(ears) < 0.7 * np.median(ears)


def test_people_need_time_to_react_and_come_back_when_it_is_done() -> None:
    performer = Performer(np.random.default_rng(1))
    asked = [performer.at(at_ms, Prompt(Action.TURN_RIGHT)).yaw for at_ms in range(0, 2000, 10)]
    after = [performer.at(at_ms, Prompt()).yaw for at_ms in range(2000, 5000, 10)]

    first_move_ms = 10 * next(number for number, yaw in enumerate(asked) if yaw < -0.1)
    assert 250 <= first_move_ms <= 1000
    assert min(asked) < -15
    assert after[-1] == 0.0


def test_somebody_who_was_not_seen_does_it_again() -> None:
    performer = Performer(np.random.default_rng(1))
    closures = [
        performer.at(at_ms, Prompt(Action.BLINK_ONCE)).closure for at_ms in range(0, 6000, 10)
    ]
    begins = sum(now > 0.5 >= before for before, now in itertools.pairwise(closures))

    assert begins >= 2


def test_a_double_blink_closes_twice() -> None:
    twice = Gesture(Action.BLINK_TWICE, 100.0, ramp_ms=200.0, pause_ms=300.0)

    closures = [twice.at(at_ms).closure for at_ms in (200, 400, 700, 850)]
    assert closures == pytest.approx([1.0, 0.0, 1.0, 0.0], abs=1e-6)
    assert twice.ends_ms == 800


def test_movements_at_the_same_time_add_up() -> None:
    assert together(
        [Expression(yaw=10, closure=0.4), Expression(yaw=-2, closure=1.0, mouth=0.3)]
    ) == Expression(yaw=8, closure=1.0, mouth=0.3)


def test_a_head_at_rest_never_stands_quite_still_and_blinks_by_itself() -> None:
    idle = Idle(np.random.default_rng(2))
    moments = [idle.at(at_ms) for at_ms in range(0, 30_000, 50)]

    assert 0.5 < np.ptp([moment.yaw for moment in moments]) < 4.1
    assert max(moment.closure for moment in moments) > 0.8
    assert np.mean([moment.closure > 0 for moment in moments]) < 0.15


def test_glasses_change_only_what_is_around_the_eyes(eileen: Portrait) -> None:
    worn = with_glasses(eileen, np.random.default_rng(1))
    changed = (worn.image != eileen.image).any(axis=2)
    rows = np.nonzero(changed)[0]

    assert changed.any()
    assert rows.min() > eileen.landmarks[:, 1].min() - 20
    assert rows.max() < eileen.landmarks[33, 1] + 10


def dark_share_about_the_eyes(jpeg: bytes, face: Face) -> float:
    (left, top), (right, bottom) = face.landmarks[17:48].min(0), face.landmarks[17:48].max(0)
    return float((decoded(jpeg)[int(top) : int(bottom), int(left) : int(right)] < 60).mean())


def test_glasses_come_off_when_it_is_asked_for(analyser: Analyser, eileen: Portrait) -> None:
    asked = {0.0: Prompt(), 500.0: Prompt(glasses_off=True), 1000.0: Prompt()}
    wears_dark_ones = live_clip(eileen, 11, fps=5)
    sent = frames(wears_dark_ones, asked, until_ms=5000)
    first, last = (
        dark_share_about_the_eyes(jpeg, faces(analyser, [jpeg])[0]) for jpeg in (sent[0], sent[-1])
    )

    assert first > 2 * last


# Cameras


def test_cameras_differ_in_rate_and_keep_their_own() -> None:
    rates = {Camera(seed).fps for seed in range(60)}
    camera = Camera(1, fps=10)
    times = [0.0]
    for _ in range(50):
        times.append(camera.next_ms(times[-1]))

    assert rates == set(FRAME_RATES)
    assert np.mean(np.diff(times)) == pytest.approx(100, rel=0.05)
    assert np.ptp(np.diff(times)) > 5


def test_two_frames_of_one_scene_are_never_the_same() -> None:
    camera = Camera(1)
    scene = np.full((480, 640, 3), 120, np.uint8)

    assert camera.jpeg(scene) != camera.jpeg(scene)


# Paper


def test_a_sheet_at_rest_is_seen_as_it_is() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    behind = np.zeros_like(picture)

    assert np.abs(flat_sheet(picture, Placement(), behind).astype(int) - picture).max() <= 1


def test_a_sheet_turned_by_sixty_degrees_is_half_as_wide() -> None:
    white, behind = np.full((100, 200, 3), 255, np.uint8), np.zeros((480, 640, 3), np.uint8)
    seen = flat_sheet(white, Placement(yaw=60), behind)

    assert int((seen[240, :, 0] > 127).sum()) == pytest.approx(100, abs=3)


def test_a_bent_sheet_is_as_wide_as_its_cylinder_shows() -> None:
    """200 px around a radius of 100 px: a chord of 2 * 100 * sin 1 = 168, its edges 46 further."""
    white, behind = np.full((100, 200, 3), 255, np.uint8), np.zeros((480, 640, 3), np.uint8)
    seen = bent_sheet(white, Placement(), behind, curvature=1 / 100)

    distance = 1.6 * 480
    assert int((seen[240, :, 0] > 127).sum()) == pytest.approx(
        168.3 * distance / (distance + 46), abs=3
    )


def grid_of_dots() -> tuple[Image, np.ndarray]:
    picture = np.full((400, 500, 3), 255, np.uint8)
    points = np.array([(x, y) for x in range(100, 401, 50) for y in range(50, 351, 50)], np.float32)
    for x, y in points.tolist():
        cv2.circle(picture, (int(x), int(y)), 6, (0, 0, 0), -1, cv2.LINE_AA)
    return picture, points


def dots_in(frame: Image) -> np.ndarray:
    _, _, _, middles = cv2.connectedComponentsWithStats((frame[..., 0] < 128).astype(np.uint8))
    return middles[1:].astype(np.float32)


def residual_of_plane(picture_points: np.ndarray, seen: np.ndarray, guess: np.ndarray) -> float:
    """Root mean square in pixels of the best homography from the picture to what is seen."""
    expected = cv2.perspectiveTransform(picture_points[None], guess)[0]
    nearest = seen[np.linalg.norm(expected[:, None] - seen, axis=-1).argmin(axis=1)]
    plane, _ = cv2.findHomography(picture_points, nearest)
    moved = cv2.perspectiveTransform(picture_points[None], plane)[0]
    return float(np.sqrt(((moved - nearest) ** 2).sum(axis=1).mean()))


def test_a_flat_print_is_an_exact_homography_and_a_bent_one_is_none() -> None:
    picture, points = grid_of_dots()
    behind = np.full((480, 640, 3), 255, np.uint8)
    placement = Placement(yaw=15, pitch=8, roll=3, right=12, down=-7)
    guess = homography(placement, picture_size=(500, 400), frame_size=(640, 480))

    flat = dots_in(flat_sheet(picture, placement, behind))
    bent = dots_in(bent_sheet(picture, placement, behind, curvature=1 / 400))
    assert residual_of_plane(points, flat, guess) < 0.3
    assert residual_of_plane(points, bent, guess) > 1.0


def test_the_mask_blinks_and_stays_as_it_is_around_the_eyes(
    analyser: Analyser, eileen: Portrait, mirrored: Portrait
) -> None:
    sent = frames(attack_clip(Species.CUT_EYES, eileen, mirrored, 1, fps=20), BLINK, until_ms=2500)
    found = faces(analyser, sent)
    ears = [face.ear for face in found]
    shut = int(np.argmin(ears))
    opened = int(np.argmin([abs(number - shut + 8) for number in range(len(ears))]))

    assert ears[shut] < 0.7 * np.median(ears)
    before, after = (decoded(sent[number]).astype(int) for number in (opened, shut))
    eyes, brows = found[shut].landmarks[36:48], found[shut].landmarks[17:27]
    x0, x1 = int(eyes[:, 0].min()), int(eyes[:, 0].max())
    on_eyes = slice(int(eyes[:, 1].min()), int(eyes[:, 1].max())), slice(x0, x1)
    above = slice(int(brows[:, 1].min()) - 25, int(brows[:, 1].min())), slice(x0, x1)
    changed = np.abs(before - after)
    assert changed[on_eyes].mean() > 2 * changed[above].mean()


def test_a_print_does_not_move_by_itself_when_a_mouth_is_asked_for(
    analyser: Analyser, eileen: Portrait, mirrored: Portrait
) -> None:
    asked = {0.0: Prompt(), 300.0: Prompt(Action.OPEN_MOUTH)}
    clip = attack_clip(Species.PRINT, eileen, mirrored, 1, fps=FPS)
    gaps = [
        float(np.linalg.norm(face.landmarks[62] - face.landmarks[66]))
        / float(np.linalg.norm(face.landmarks[48] - face.landmarks[54]))
        for face in faces(analyser, frames(clip, asked, until_ms=2500))
    ]

    assert np.ptp(gaps) < 0.15


# Displays


def display(**changes: float) -> Display:
    drawn = Display.drawn(np.random.default_rng(1), pixels_per_px=(1.2, 1.2), bezel_px=20)
    still = {"glare": 0.0, "banding": 0.0, "glow": 0.0, "gamma": 1.0, "brightness": 1.0}
    return Display(**{**{f: getattr(drawn, f) for f in drawn.__slots__}, **still, **changes})


def test_a_grid_of_pixels_leaves_a_moire_where_the_camera_aliases_it() -> None:
    """1.2 pixels of the display along one of the camera: the fifth pixel of both meet again."""
    grey, behind = np.full((400, 500, 3), 128, np.uint8), np.zeros((480, 640, 3), np.uint8)
    seen = display(lens_limit=1.8).seen(grey, Placement(), behind, 0.0)
    row = seen[240, 120:520, 1].astype(float)
    spectrum = np.abs(np.fft.rfft(row - row.mean()))

    assert np.argmax(spectrum) / len(row) == pytest.approx(0.2, abs=0.01)
    assert np.ptp(row) > 4


def test_a_grid_far_finer_than_the_camera_leaves_nothing() -> None:
    grey, behind = np.full((400, 500, 3), 128, np.uint8), np.zeros((480, 640, 3), np.uint8)
    seen = display(pixels_per_px=6.3).seen(grey, Placement(), behind, 0.0)

    assert np.ptp(seen[200:280, 200:440].astype(int)) <= 2


def test_a_display_has_a_dark_edge_and_its_refreshing_wanders() -> None:
    grey, behind = np.full((300, 400, 3), 128, np.uint8), np.full((480, 640, 3), 200, np.uint8)
    one, later = (
        display(pixels_per_px=6.3, banding=0.05, band_px=150.0, bands_per_s=1.0).seen(
            grey, Placement(), behind, at_ms
        )
        for at_ms in (0.0, 500.0)
    )

    assert one[240, 110].max() < 30
    assert one[240, 5].tolist() == [200, 200, 200]
    rows = [frame[120:360, 320, 1].astype(int) for frame in (one, later)]
    assert np.ptp(rows[0]) >= 8
    assert np.corrcoef(*rows)[0, 1] < -0.9


def test_a_replay_does_not_wait_for_what_is_asked_next(
    analyser: Analyser, eileen: Portrait, mirrored: Portrait
) -> None:
    """From the first prompt on it plays what was guessed, so later prompts change nothing."""
    first = {0.0: Prompt(Action.TURN_LEFT)}
    changed = {**first, 700.0: Prompt(Action.OPEN_MOUTH)}
    one, other = (
        frames(
            attack_clip(Species.PHONE_REPLAY, eileen, mirrored, 5, fps=FPS), prompts, until_ms=1500
        )
        for prompts in (first, changed)
    )

    assert one == other


# Injection

INJECTIONS = (Species.LOOPED_INJECTION, Species.DUPLICATED_FRAMES, Species.REORDERED_FRAMES)


def nearest_earlier(sent: list[bytes]) -> list[float]:
    """How near each frame of the last third is to the nearest that does not come just before it.

    The mean difference of the frames, reduced so that noise and JPEG hardly count.
    """
    small = np.array(
        [cv2.resize(decoded(one), (64, 48), interpolation=cv2.INTER_AREA) for one in sent], int
    )
    last = range(len(sent) * 2 // 3, len(sent))
    return [float(np.abs(small[: i - 3] - small[i]).mean(axis=(1, 2, 3)).min()) for i in last]


def test_injected_frames_come_again(eileen: Portrait, mirrored: Portrait) -> None:
    live = frames(live_clip(eileen, 2, fps=5), {}, until_ms=18_000)
    for species in INJECTIONS:
        sent = frames(attack_clip(species, eileen, mirrored, 2, fps=5), {}, until_ms=18_000)
        assert np.median(nearest_earlier(sent)) < 0.5 * np.median(nearest_earlier(live)), species


def test_some_injections_send_the_same_bytes_and_some_make_them_anew(
    eileen: Portrait, mirrored: Portrait
) -> None:
    same_bytes = []
    for seed in range(6):
        clip = attack_clip(Species.DUPLICATED_FRAMES, eileen, mirrored, seed, fps=5)
        sent = frames(clip, {}, until_ms=2000)
        same_bytes.append(len(set(sent)) < len(sent))

    assert any(same_bytes)
    assert not all(same_bytes)


def test_an_injection_with_a_library_plays_the_action_that_is_asked(
    analyser: Analyser, eileen: Portrait, mirrored: Portrait
) -> None:
    clip = attack_clip(Species.DUPLICATED_FRAMES, eileen, mirrored, 2, fps=FPS)
    yaws = [face.pose.yaw for face in faces(analyser, frames(clip, TURN, until_ms=2500))]

    assert max(yaws[8:]) - np.median(yaws[:5]) > 12


def test_some_libraries_stay_in_an_action_until_the_way_back_is_told(
    analyser: Analyser, eileen: Portrait, mirrored: Portrait
) -> None:
    asked = {**ASKED_AT_ONCE, 2500.0: Prompt()}

    def turned(level: Level, seed: int) -> tuple[bool, bool]:
        """Whether the head is still turned when the way back is told, and a second after that."""
        clip = attack_clip(Species.REORDERED_FRAMES, eileen, mirrored, seed, fps=FPS, level=level)
        sent = frames(clip, asked, until_ms=4200)
        then, later = (
            np.median([face.pose.yaw for face in faces(analyser, sent[number : number + 3])])
            for number in (23, 39)
        )
        return bool(then > 10), bool(later > 10)

    stays = [turned(Level.STRICT, seed) for seed in range(6)]
    assert {then for then, _ in stays} == {True, False}
    assert {later for _, later in stays} == {False}
    assert turned(Level.CHALLENGE, [then for then, _ in stays].index(True)) == (False, False)


# A swap


def test_the_victim_is_there_when_the_face_is_compared_and_the_attacker_before(
    eileen: Portrait, mirrored: Portrait
) -> None:
    attacker = Portrait(np.full_like(mirrored.image, 30), mirrored.landmarks)
    asked = {0.0: Prompt(Action.BLINK_ONCE), 1000.0: Prompt(done=True)}
    sent = frames(
        attack_clip(Species.FACE_SWAP, eileen, attacker, 1, fps=FPS), asked, until_ms=1500
    )
    contrast = [float(decoded(jpeg)[160:320, 240:400].std()) for jpeg in sent]

    assert max(contrast[:8]) < 20
    assert min(contrast[-3:]) > 30


# Pictures


def test_black_corners_are_filled_and_nothing_else(eileen: Portrait) -> None:
    image = np.maximum(eileen.image, 12)
    cut = image.copy()
    cv2.fillPoly(cut, [np.array([(0, 0), (80, 0), (0, 80)])], (0, 0, 0))
    filled = without_black_corners(Portrait(cut, eileen.landmarks)).image

    assert filled[:30, :30].min() > 6
    assert np.array_equal(filled[100:], image[100:])


def test_a_surrounded_picture_is_itself_in_the_middle_and_has_no_edge(eileen: Portrait) -> None:
    wide = surrounded(eileen)
    shift = wide.landmarks[0] - eileen.landmarks[0]
    x, y = np.rint(shift).astype(int)
    height, width = eileen.image.shape[:2]

    assert np.array_equal(
        wide.image[y + 60 : y + height - 60, x + 60 : x + width - 60], eileen.image[60:-60, 60:-60]
    )
    across = wide.image[y + height // 2].astype(int).sum(axis=1)
    assert np.abs(np.diff(across[x - 15 : x + 15])).max() < 60


def test_a_frame_of_the_clip_is_a_jpeg_that_the_kiosk_would_take(eileen: Portrait) -> None:
    (jpeg,) = frames(live_clip(eileen, 1, fps=5), {}, until_ms=100)

    assert decoded(jpeg).shape == (480, 640, 3)
    assert len(jpeg) < 200_000
    assert jpeg[:2] == as_jpeg(astronaut())[:2]
