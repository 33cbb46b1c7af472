"""Every threshold of the engine, with the data it was chosen on and how to find it again."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlinkThresholds:
    """When a fall of the eye aspect ratio (EAR) is a blink.

    All ratios are relative to the open-eye baseline of the same face, because people differ from
    0.23 to 0.42 with the same landmarks.
    """

    #: The baseline is this percentile of the EAR over the last ``window_ms``: a blink of 300 ms
    #: does not move it, while a squint that ends does.
    baseline_percentile: float = 70.0
    window_ms: float = 3000.0
    #: Before this much of a face has been seen there is no baseline and nothing is a blink.
    learn_ms: float = 400.0
    learn_frames: int = 3
    #: Both eyes below the first: closed; both above the second: open again.
    closed_ratio: float = 0.75
    open_ratio: float = 0.85
    #: At its deepest a blink reaches this; narrowed eyes and tilted pictures mostly do not.
    deepest_ratio: float = 0.70
    #: The mean of both must also fall by this many standard deviations of the open eyes' EAR,
    #: which is 0.006 to 0.02 from frame to frame: small eyes flicker by more than their share.
    noise_factor: float = 6.0
    least_deviation: float = 0.01
    #: A voluntary blink takes 100 to 500 ms. The time for which the lids were certainly down may
    #: not exceed the maximum; the time between the open frames around it must reach the minimum.
    min_ms: float = 70.0
    max_ms: float = 800.0
    #: Lids need about 100 ms down and 200 ms up; a picture that is tilted takes longer.
    max_lids_ms: float = 300.0
    #: See `upper_face_change`. Blinks made from 36 LFW portraits stay below 0.022; the same
    #: pictures tilted until the eyes narrow as much have a median of 0.055.
    max_face_change: float = 0.025


@dataclass(frozen=True, slots=True)
class DialoguePolicy:
    """Times and counts of one check-in."""

    #: A usable face must stay this long before anything is asked of it.
    steady_ms: float = 300.0
    #: The blink is asked for after a random wait in this range, so that it cannot be foreseen.
    wait_min_ms: float = 400.0
    wait_max_ms: float = 1200.0
    #: The eyes have to close within this window, and not sooner than a person can react.
    reaction_ms: float = 120.0
    challenge_ms: float = 5000.0
    tries: int = 2
    #: The same face must be seen again within this time and overlap its last place by this much.
    max_gap_ms: float = 700.0
    min_overlap: float = 0.3
    #: Another face this large beside the main one must step back.
    bystander_share: float = 0.4
    #: Good frames embedded before and after the blink; all of them make the fused probe.
    frames_before: int = 2
    frames_after: int = 3
    match_ms: float = 3000.0
    #: Any two frames of one check-in must be at least this similar, with closed eyes a bit less.
    #: Frames of a person who looks into the camera reach 0.98; of two people on LFW 0.03 % reach
    #: the first and 0.3 % the second.
    same_face_similarity: float = 0.94
    same_face_similarity_closed: float = 0.92
    #: How long a verdict stays, and how long to wait for its person to step away.
    show_ms: float = 2500.0
    leave_ms: float = 400.0
    leave_max_ms: float = 6000.0


@dataclass(frozen=True, slots=True)
class EnrolmentThresholds:
    """When the pictures of one enrolment show one person."""

    #: Of a picture to the median of the others. LFW, pairs of pictures: 0.5 % of one person and
    #: 99.1 % of two people lie below.
    same_person_similarity: float = 0.91


@dataclass(frozen=True, slots=True)
class IdentificationThresholds:
    """When the nearest template of a gallery is a match.

    Measured on LFW (1169 pictures of 649 people, 3 pictures enrolled, one picture a probe) with
    `manage.py evaluate --faces DIR --gallery 1 10 30 100`.
    """

    #: Similarity at FPIR 0.1 % by the gallery's size; between them linear in its logarithm, and
    #: beyond the last with the same slope. At 30: 0.953, where FNIR is 4.6 %.
    similarity_at_size: tuple[tuple[int, float], ...] = ((1, 0.938), (10, 0.950), (100, 0.957))
    #: The lead over the runner-up. At N=30 it costs 0.02 % of the mated probes.
    margin: float = 0.01

    def similarity_for(self, gallery_size: int) -> float:
        """The least similarity of a match in a gallery of that many people.

        >>> IdentificationThresholds().similarity_for(1000)
        0.964
        """
        points = self.similarity_at_size
        size = max(gallery_size, points[0][0])
        upper = next((i for i, (n, _) in enumerate(points) if i and size <= n), len(points) - 1)
        (low_n, low), (high_n, high) = points[upper - 1], points[upper]
        share = math.log(size / low_n) / math.log(high_n / low_n)
        return round(low + share * (high - low), 4)


@dataclass(frozen=True, slots=True)
class DetectionThresholds:
    """Where faces are looked for, and how sure the detector must be.

    Measured with dlib's HOG detector on 1203 pictures of LFW; its smallest face is 80 px.
    """

    #: dlib reports detections down to this; the two below decide. LFW: 0.0 finds 99.7 %.
    hog_adjust_threshold: float = -0.3
    #: A face anywhere in the frame.
    hog_confidence_to_find: float = 0.0
    #: A face where one was in the last frame: it may turn, blink or blur without being lost.
    hog_confidence_to_follow: float = -0.3
    #: A smaller face beside a surer one. A pattern on the astronaut's suit reaches 0.15; three in
    #: four real bystanders of LFW reach 0.3.
    hog_confidence_beside_larger: float = 0.3
    #: A face that is held straight and found this surely: no search for turned or leant ones.
    hog_straight_suffices: float = 0.3
    #: The region of interest is the last box times this; the face may move half its width.
    region_growth: float = 2.0
    #: The region is scaled so that the last face is this high: it may shrink by a fifth.
    region_face_px: int = 100
    #: The shorter side of a reduced frame. Of 155 people's faces pasted into 1280 x 720, a third
    #: of the frame's height is found always, 0.28 of it 96 times in 100, 0.25 79 times. With 288
    #: it would be always and cost 2.3 ms more.
    reduced_side_px: int = 240
    #: The longer side of a reduced photo: the smallest face found is a sixth of it.
    reduced_photo_side_px: int = 480
    #: No search sees more pixels than this on the longer side; small photos are enlarged to find
    #: small faces, at most by ``largest_enlargement``.
    largest_side_px: int = 1600
    largest_enlargement: float = 2.0
    #: Two boxes are one face if they share this much of the smaller one.
    same_face_overlap: float = 0.5
    #: In a photo, another face at least this high beside the largest one makes it unclear whose
    #: photo it is.
    prominent_height_share: float = 0.5


@dataclass(frozen=True, slots=True)
class QualityThresholds:
    """When a face is refused, see ``quality``. Measured on 1201 faces of LFW and altered ones.

    What an alteration does to recognition is given as the median cosine similarity of the altered
    face's embedding to that of the original. Blur is a Gaussian's sigma, or the length of a
    horizontal motion, in per cent of the face's height.
    """

    #: Height of the face as a share of the frame's shorter side, and in pixels.
    min_face_share: float
    min_face_height_px: float
    max_face_share: float
    #: Share of the 68 landmarks that may lie outside the picture.
    max_outside_share: float
    #: LFW: 99.5 % above 8.2, lowest 4.4. Blur of 3 % (similarity 0.96) has a median of 2.7, of
    #: 4 % (0.94) 1.8; motion of 15 % (0.945) 2.7.
    min_sharpness: float
    #: Mean luminance, 0 to 255. LFW: lowest 53. A picture at 0.2 of its light (0.987): 23.
    min_brightness: float
    max_brightness: float
    #: Share of burnt-out pixels (luminance from 250). LFW: highest 0.13; at twice the light 0.31.
    max_burnt_share: float
    #: 95th minus 5th percentile of luminance. LFW: lowest 54. At 0.25 of its contrast (0.985): 32.
    min_contrast: float
    #: Degrees, either way.
    max_yaw: float
    max_pitch: float
    max_roll: float
    #: Eye aspect ratio, mean of both. LFW: half a per cent below 0.114, and these are mostly open
    #: eyes of people who laugh. Closed on purpose: 0.06. Blinks have thresholds of their own.
    closed_ear: float


#: A frame of the kiosk's stream: lenient, because the next one comes in a moment.
KIOSK_QUALITY = QualityThresholds(
    min_face_share=0.2,
    min_face_height_px=80,
    max_face_share=0.9,
    max_outside_share=0.05,
    min_sharpness=3.0,
    min_brightness=28,
    max_brightness=225,
    max_burnt_share=0.3,
    min_contrast=24,
    max_yaw=35,
    max_pitch=30,
    max_roll=30,
    closed_ear=0.10,
)

#: An enrolment photo: stricter, because everything later is compared with it.
PHOTO_QUALITY = QualityThresholds(
    min_face_share=0.0,
    min_face_height_px=80,
    max_face_share=1.2,
    max_outside_share=0.05,
    min_sharpness=4.5,
    min_brightness=40,
    max_brightness=220,
    max_burnt_share=0.25,
    min_contrast=40,
    max_yaw=32,
    max_pitch=27,
    max_roll=25,
    closed_ear=0.10,
)

DETECTION = DetectionThresholds()
