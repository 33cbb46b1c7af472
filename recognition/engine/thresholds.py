"""Every threshold of the engine, with the data it was chosen on and how to find it again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


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
    #: which is 0.006 to 0.02 from frame to frame: small eyes flicker by more than their share. Of
    #: one blink asked of 12 synthetic people, 9 are seen; with 6 deviations it would be 6, with 4
    #: no more. Of 12 prints that are tilted, one makes a blink with it and none with 6.
    noise_factor: float = 4.5
    least_deviation: float = 0.01
    #: From this share of the open eyes' EAR on their deviation says that landmarks do not hold on
    #: to the lids: 22 of 35 simulated people with thick dark glasses, 2 of 84 without.
    unsteady_share: float = 0.09
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
class ActionThresholds:
    """When a head or a mouth has done what was asked, from where the same face rests.

    Read off two portraits that `synthesis.AnimatedPortrait` turns, raises and opens the mouth of;
    what they cost living people, `manage.py evaluate --faces DIR --attacks` tells.
    """

    #: Degrees from rest, as `geometry.head_pose` reads them. A head that is turned by 20 degrees
    #: reads 22 to 24; up to 30 the face is still found, and beyond it is lost now and then.
    turn_degrees: float = 18.0
    #: Upwards. Raised by 10 degrees it reads 11 to 12; an opened mouth alone reads up to 6.
    up_degrees: float = 11.0
    #: Rise of the mouth's aspect ratio. Closed lips read 0.05 to 0.2, and a mouth that is opened
    #: for a moment rises by 0.35 to 0.5; who talks, by 0.2.
    mouth_rise: float = 0.25
    #: All of these as shares of what was asked. From the first on a movement is under way; below
    #: the second, face and mouth are at rest.
    under_way_share: float = 0.5
    rest_share: float = 0.5
    #: What has to be kept up is, while it is beyond the first. Who is told to come back has begun
    #: to once it is below the second, of how far it was then.
    held_share: float = 0.7
    let_go_share: float = 0.8
    #: Another movement this clear, and clearer than what was asked, is another action.
    other_share: float = 1.3
    #: Frames in a row for what was asked, for another action, and for being at rest again. With two
    #: for another action, landmarks that go astray in a blink or with a raised chin made 3 of 100
    #: living people do something else twice.
    hold_frames: int = 2
    other_frames: int = 3
    rest_frames: int = 2
    #: Where a face rests is the median of its frames before anything was asked; at least so many.
    learn_frames: int = 3
    #: The second of two blinks begins within this time after the first.
    between_blinks_ms: float = 2000.0


@dataclass(frozen=True, slots=True)
class PassiveThresholds:
    """When what a face shows by itself is not that of a living person before a camera.

    Chosen on 60 clips of living people and 12 of each attack, made from pictures of LFW by
    `recognition.engine.attacks`, at 5 to 30 frames a second; measured with `manage.py evaluate
    --faces DIR --attacks`, whose traces hold every figure. "Living" below is the largest (or least)
    figure of those 60.
    """

    #: A face that was not seen for longer than this may be another one.
    max_gap_ms: float = 1000.0
    #: How far a face moves (in distances between the outer eye corners), grows (logarithm) and
    #: leans (radians) from one frame to the next: at once, and with every second between them.
    #: Living: 0.82 of it, where the detector's box changes its size.
    least_move: float = 0.5
    move_per_s: float = 6.0
    least_growth: float = 0.25
    growth_per_s: float = 1.5
    least_lean: float = 0.3
    lean_per_s: float = 3.0
    #: How unlike the face may become from one frame to the next, see `continuity.change`; frames
    #: further apart than ``change_ms`` may differ by as many times as much. Living: 0.69 in 95 of
    #: 100, and up to 0.98 where landmarks go astray in a turn; another face reaches that in half of
    #: the cases. The others are told by what their embeddings say, see `DialoguePolicy`.
    max_change: float = 0.95
    change_ms: float = 100.0
    #: The same frame again: for so long as a slow camera shows one. A camera that repeats more than
    #: this share of ``pace_frames`` does not give half of as many new ones in a row.
    max_stopped_ms: float = 320.0
    pace_frames: int = 10
    max_uneven: float = 0.35
    #: Frames that are equal to one from before the last, of so many that are remembered; those that
    #: come sooner than ``least_apart_ms`` after the last differ by little but noise and are left
    #: out.
    max_repeats: int = 0
    remembered_frames: int = 150
    least_apart_ms: float = 65.0
    #: For so long frames may be nearer to a movement that was over for ``loop_ms`` than to the
    #: last, and for so many frames where that is longer. Living: 0, and at 5 to 12 frames a second
    #: runs of 5 to 8 frames in 5 of 100; loops that come round: all the way.
    loop_ms: float = 500.0
    max_retraced_ms: float = 340.0
    retraced_frames: float = 9.0
    #: This share of frames, beyond those that chance makes (living: 3 in a long visit), may be
    #: as near to an old one as noise allows (so many times the nearest two of the visit, which in
    #: a camera's noise differ by up to ``most_noise`` grey levels) and nearer than a share of the
    #: step from the last (living, beyond: none; loops: 0.03 to 0.7 where they came round).
    least_steps: int = 10
    again_share: float = 0.6
    noise_factor: float = 2.0
    most_noise: float = 0.4
    again_by_chance: int = 3
    #: Only frames that come so soon after the last are compared: a calm person who is seen more
    #: rarely sways back between two frames (2.8 a second: refused in 9 of 20 visits).
    again_ms: float = 300.0
    max_again: float = 0.05
    #: A step may be so many times as large as both its neighbours, at ``usual_frame_ms`` or less,
    #: and more by the root of how much more rarely frames come. The largest three of a visit
    #: before a camera that stands still, with frames that take up to 25 ms longer in the mean to
    #: arrive: living, in 150 visits, at most 2.65, 1.76 and 1.62. Injected actions cut into idle
    #: frames, where the other checks say nothing: above 5.4, 4.0 and 2.4 in 14 of 15, one 2.1, 1.9
    #: and 1.9. In a hand that trembles steps differ by more, up to 2.2 the second.
    max_seam: float = 4.0
    max_splice: float = 2.8
    max_cuts: float = 1.8
    usual_frame_ms: float = 100.0
    #: So often one of two steps may be more than ``jerk`` times the other. Living: at most 1, and 3
    #: where a head begins to turn at full speed; frames shown several times, with fresh noise, in a
    #: hand that trembles: 4 to 14.
    jerk: float = 12.0
    max_jerks: int = 3
    #: Where the edges of the frame change by no more grey levels from frame to frame, the camera
    #: stands still. Then, of the frames that come within ``order_ms`` of each other, this share may
    #: be nearer to the last but one than to the last, beyond those in which a movement turns
    #: (living, at 2 to 30 frames a second: at most two of a visit's; shuffled: four to 19).
    still_edge_step: float = 1.3
    order_ms: float = 400.0
    backwards_share: float = 0.8
    backwards_by_turning: int = 3
    max_backwards: float = 0.06
    #: Where fewer than ``least_steps`` did, at least this share of the time passed in such steps;
    #: if not, more frames are waited for, see `DialoguePolicy.more_frames_ms`.
    least_in_order: float = 0.5
    #: Frames before anything is said of a screen.
    screen_frames: int = 12
    #: See `spectrum.narrow_peak`, in nepers; median over the visit. Living: 0.78; single pictures
    #: of LFW: 99.5 % below 0.86. Screens: above 1.1 where the camera resolves their grid.
    max_moire: float = 1.15
    #: See `border.border_cover`; median over the visit. Living: 0.18. Phones: 0.5 and more in 9 of
    #: 12; the others have no border in the frame.
    max_border: float = 0.5
    #: See `screen.flicker`, logarithms of light; median over the visit. Living: 0.001; frames that
    #: were made anew: 0.007 to 0.016. Lamps that flicker at a camera without a filter for the
    #: mains were not among the clips.
    max_flicker: float = 0.006
    #: Three frames within so long are compared, and so many times at least: in a longer time
    #: somebody moves by more than light flickers.
    light_ms: float = 500.0
    flicker_frames: int = 8
    #: A face is turned from this sine on, or from this foreshortening. It then shows depth, as a
    #: share of that of the usual head (living: 0.67; pairs of real pictures of one person, 16
    #: degrees apart and more: 99.5 % above 0.55; prints: 0.1, bent ones mostly below 0.25), and
    #: misses the best plane by so much, in eye distances for a sine of 1 (0.098; 0.11; 0.033,
    #: 0.041).
    turned: float = 0.25
    turned_frames: int = 3
    foreshortened: float = 0.78
    least_depth: float = 0.35
    least_residual: float = 0.06
    #: See `lids.LidMotion.ratio`, mean of the eyes, median of the blinks of a visit. Living:
    #: above 0.06 in 39 of 40; masks with holes: below 0.035 in 9 of 10. Where the skin changes by
    #: more than the second share from one open frame to the next, nothing can be told (masks: 0.14;
    #: living whose ratio was 0: 0.7 and more).
    least_lid_motion: float = 0.035
    max_lid_noise: float = 0.3


@dataclass(frozen=True, slots=True)
class DialoguePolicy:
    """Times and counts of one check-in."""

    #: A usable face must stay this long before anything is asked of it.
    steady_ms: float = 300.0
    #: Each sequence begins after a random wait in this range, so that it cannot be foreseen.
    wait_min_ms: float = 400.0
    wait_max_ms: float = 1200.0
    #: Before the next sequence, the reason for it stays on the screen for this long.
    explain_ms: float = 1500.0
    #: Before anything is asked, whose eyes are not seen steadily is told to take off glasses: for
    #: so long at least, and until they are. After the longest time it goes on all the same.
    glasses_min_ms: float = 3500.0
    glasses_max_ms: float = 7000.0
    #: An action has to be done within this window, and not sooner than a person can react.
    reaction_ms: float = 120.0
    challenge_ms: float = 6000.0
    #: Before the next action of a sequence the face rests for a random time in this range. Who
    #: moves before that has not done what was asked: a recording that goes on falls behind.
    pause_min_ms: float = 300.0
    pause_max_ms: float = 1300.0
    #: Where three actions are asked, head and mouth stay where they were asked to for a random time
    #: in this range, and begin to come back within the last after that is told. Who is later is
    #: asked for something else.
    hold_min_ms: float = 300.0
    hold_max_ms: float = 2300.0
    let_go_ms: float = 1200.0
    #: How long the way back to rest may take, after an action or before the next sequence.
    return_ms: float = 4000.0
    #: Who is half-way for this long is told to go on.
    nudge_ms: float = 700.0
    #: Of whom nothing was seen for this long is told to do it more clearly.
    unseen_ms: float = 2200.0
    #: How often the one blink is asked for.
    tries: int = 2
    #: How many sequences are asked for, where each missing action is replaced by one of another
    #: kind. One per kind that can be replaced, and the first. After another action than the one
    #: asked, each sequence has one action more.
    sequences: int = 3
    #: So many wrong actions within the time are no mistake, whether or not the face went away in
    #: between. A recording of all actions in a loop does what is asked now and then.
    wrong_actions: int = 2
    wrong_within_ms: float = 60_000.0
    #: The same face must be seen again within this time and overlap its last place by this much.
    max_gap_ms: float = 700.0
    min_overlap: float = 0.3
    #: Another face this large beside the main one must step back.
    bystander_share: float = 0.4
    #: Good frames embedded before and after the challenge; all of them make the fused probe.
    frames_before: int = 2
    frames_after: int = 3
    match_ms: float = 3000.0
    #: Where frames came too rarely to tell their order, the person is looked at for so long more.
    more_frames_ms: float = 6000.0
    #: Any two frames of one check-in must be at least this similar: of faces that look into the
    #: camera, with eyes closed, and where a head or a mouth is moved. Frames of a person who looks
    #: into the camera reach 0.98, turned by 25 degrees 0.97, raised by 25 0.95. Of two people on
    #: LFW 0.03 % reach the first, 0.3 % the second and 0.9 % the third.
    same_face_similarity: float = 0.94
    same_face_similarity_closed: float = 0.92
    same_face_similarity_moved: float = 0.91
    #: Frames that the anti-spoofing model is asked about, where the policy asks it at all, and the
    #: mean confidence below which a required answer refuses.
    spoof_model_frames: int = 2
    live_confidence: float = 0.5
    #: How long a person who was recognised is waited for until the pass is shown.
    pass_ms: float = 30_000.0
    #: Meanwhile a pass may hide the face. So many frames in a row that are less similar than this
    #: to the face that proved alive are somebody else: of LFW's pairs of pictures 0.5 % of one
    #: person and 99.1 % of two people lie below.
    other_face_similarity: float = 0.91
    other_face_frames: int = 3
    #: A code that was not seen for this long has gone; until then it is one that is held up still.
    code_gone_ms: float = 1500.0
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
class CohortThresholds:
    """How a probe is compared with people outside the gallery, and when that helps.

    Measured on LFW (649 people in two halves, each the cohort of the other; 3 pictures enrolled,
    one picture a probe) with `manage.py evaluate --faces DIR --compare --draws 40`. FNIR at FPIR
    0.1 % and N=30 is 4.5 % without a cohort, and 2.5, 1.5 and 1.4 % with one of 100, 200 and 324.
    """

    #: So many of the cohort, the most alike, say how like everybody a probe is. As a share the
    #: thresholds hardly depend on the cohort's size: at N=30 0.498 with 100 people, 0.496 with 290.
    share: float = 0.03
    #: Of what that says so much counts. With 0.25 FNIR is 2.0 %, with 0.75 1.7 %.
    weight: float = 0.5
    #: With 50 people it rather hurts: 5.2 %. The cohort must also outnumber the gallery: at N=100,
    #: where FNIR is 7.8 % without, it is 14.0 % with 100 people, 7.4 % with 200, 6.8 % with 324.
    least_people: int = 100
    least_times_gallery: float = 2.0
    #: More are not loaded: each takes 512 bytes, and 0.1 ms to decrypt.
    most_people: int = 2000
    #: A template of the cohort that is so like one of the gallery is most probably the same
    #: person's, see `ResemblanceThresholds`.
    same_person_similarity: float = 0.96

    def suffices(self, people: int, gallery_size: int) -> bool:
        """Whether so many people outside a gallery of that size help.

        >>> CohortThresholds().suffices(150, 30), CohortThresholds().suffices(150, 100)
        (True, False)
        """
        return people >= max(self.least_people, self.least_times_gallery * gallery_size)


Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class IdentificationThresholds:
    """When the nearest template of a gallery is a match.

    Measured on LFW (1169 pictures of 649 people, 3 pictures enrolled, one picture a probe) with
    `manage.py evaluate --faces DIR --gallery 1 10 30 100`. A check-in fuses five frames, but of one
    moment: they are as alike as one picture, so that what was measured on one holds for them.
    """

    #: Similarity at FPIR 0.1 % by the gallery's size; between them linear in its logarithm, and
    #: beyond the last with the same slope. At 30: 0.953, where FNIR is 4.8 %.
    similarity_at_size: Curve = ((1, 0.938), (10, 0.950), (100, 0.957))
    #: The same where there is a cohort: how far the similarity must exceed the share of the
    #: cohort's (`CohortThresholds.weight`). At 30: 0.496, where FNIR is 2.1 %.
    above_cohort_at_size: Curve = ((1, 0.484), (10, 0.493), (100, 0.500))
    #: The lead over the runner-up. At N=30 it costs 0.01 % of the mated probes.
    margin: float = 0.01
    #: So little below the threshold a match is uncertain: down to where 1 % of the strangers pass.
    #: At N=30 there lie 70 % of the gallery's own people who are refused.
    band: float = 0.008

    def similarity_for(self, gallery_size: int) -> float:
        """The least similarity of a match in a gallery of that many people.

        >>> IdentificationThresholds().similarity_for(1000)
        0.964
        """
        return on_curve(self.similarity_at_size, gallery_size)

    def similarity_beside(self, cohort_similarity: float | None, gallery_size: int) -> float:
        """The least similarity of a match for a probe that is this like the cohort.

        Where there is none, or no curve for one was measured, that of `similarity_for`.

        >>> IdentificationThresholds().similarity_beside(0.9, 100)
        0.95
        """
        if cohort_similarity is None or not self.above_cohort_at_size:
            return self.similarity_for(gallery_size)
        above = self.above_cohort_for(gallery_size)
        return round(above + COHORT.weight * cohort_similarity, 4)

    def above_cohort_for(self, gallery_size: int) -> float:
        """How far the similarity must exceed the cohort's share, where there is a curve for it."""
        return on_curve(self.above_cohort_at_size, gallery_size)


def on_curve(curve: Curve, gallery_size: int) -> float:
    """The curve's value there: linear in the size's logarithm, with the last slope beyond its end.

    >>> on_curve(((1, 0.9), (100, 0.96)), 10)
    0.93
    """
    if len(curve) == 1:
        return curve[0][1]
    size = max(gallery_size, curve[0][0])
    upper = next((i for i, (n, _) in enumerate(curve) if i and size <= n), len(curve) - 1)
    (low_n, low), (high_n, high) = curve[upper - 1], curve[upper]
    share = math.log(size / low_n) / math.log(high_n / low_n)
    return round(low + share * (high - low), 4)


COHORT = CohortThresholds()

#: What was measured of each model, for `recognition.selectors.thresholds_in_force`. A model that
#: is missing here has no threshold until one was measured and applied.
IDENTIFICATION: dict[str, IdentificationThresholds] = {
    "dlib-resnet-v1": IdentificationThresholds(),
}

#: The least similarity of a probe to the template of the one person whom it is said to show (1:1).
#: FMR 0.01 % on LFW (1169 pictures of 649 people, 3 pictures enrolled, one picture a probe); that
#: point lies from 0.944 to 0.953 among people drawn again. FNMR is 3.4 %, at FMR 0.01 % 0.6 to
#: 5.2 %; with one picture enrolled 30 %. A check-in fuses five frames and may be tried again, so
#: refusing costs less than letting a friend in. Found again with
#: `manage.py evaluate --faces DIR --verification --draws 20`.
VERIFICATION_SIMILARITY = 0.951


@dataclass(frozen=True, slots=True)
class ResemblanceThresholds:
    """When the fused templates of two accounts are so alike that a person should look at both.

    Measured on LFW (1169 pictures of 649 people, 200 draws), every account against all others,
    with `manage.py evaluate --faces DIR --doubles --gallery 100 600 --enrol 3 --draws 200`.
    """

    #: Most probably one person twice. Of 100 accounts of 3 pictures each it finds 99.96 % of the
    #: doubles and flags 0.02 % of the others; of 2 pictures 98 % and 0.01 %; of a single one 46 %
    #: and none, where at 1 % false flags (0.948) 75 % could be found. The point of 1 % moves from
    #: 0.954 with 100 accounts to 0.956 with 600, so one number serves both.
    same_face_similarity: float = 0.96
    #: Two people whom a kiosk may confuse. With templates this alike, a picture of one reaches the
    #: other's template in 6 to 12 of 100 cases at the threshold of a class of 10 and in 1 at that
    #: of 30; below 0.94 in 2 of 1000. Of 100 accounts it flags 4.0 %, of 600 6.2 %.
    look_alike_similarity: float = 0.95


@dataclass(frozen=True, slots=True)
class MistakeThresholds:
    """When a probe is the face that somebody said "not me" of.

    Measured on LFW (1169 pictures of 649 people, 3 enrolled, 60 draws) with `manage.py evaluate
    --faces DIR --mistakes --gallery 1 10 --draws 60`: every picture of another person that passes
    the threshold of a class of one makes a pair with the template. Of that person's other pictures
    that pass as well 94.5 % are then held back (in a class of 10 all of 250), of the template's
    own person none of 27999. Without the margin it would be 3 % of these. Where the owner said
    "not me" untruly, 1.8 % of the owner's other pictures are held back; of the same camera and day
    it will be more, so that a refused appeal deletes the pair.
    """

    #: To the mistaken face. 0.96 holds back 91 % of the other person's pictures, 0.97 73 %.
    similarity: float = 0.95
    #: How much nearer to it than to the template. With none, 11 % of an owner's pictures are held
    #: back who said it untruly; with 0.02, 86 % of the other person's.
    margin: float = 0.01

    def is_mistaken(self, *, to_mistaken: float, to_own: float) -> bool:
        """Whether a probe this alike to a mistaken face and to the template is that face.

        >>> MistakeThresholds().is_mistaken(to_mistaken=0.97, to_own=0.95)
        True
        """
        return to_mistaken >= self.similarity and to_mistaken - to_own >= self.margin


@dataclass(frozen=True, slots=True)
class DetectionThresholds:
    """Where faces are looked for, and how sure the detector must be.

    Measured with dlib's HOG detector on 1203 pictures of LFW; its smallest face is 80 px. YuNet
    (2026may) was measured on 479 of them, made smaller, leant and blurred.
    """

    #: dlib reports detections down to this; the two below decide. LFW: 0.0 finds 99.7 %.
    hog_adjust_threshold: float = -0.5
    #: A face anywhere in the frame.
    hog_confidence_to_find: float = 0.0
    #: A face where one was in the last frame: it may turn, blink or blur without being lost. Of
    #: places without a face 2.0 % hold something at this, 1.6 % at -0.3 and 5 % at -0.8; at -0.3
    #: some people are lost each time that they turn by 25 degrees.
    hog_confidence_to_follow: float = -0.5
    #: A smaller face beside a surer one. A pattern on the astronaut's suit reaches 0.15; three in
    #: four real bystanders of LFW reach 0.3.
    hog_confidence_beside_larger: float = 0.3
    #: A face that is held straight and found this surely: no search for turned or leant ones.
    hog_straight_suffices: float = 0.3
    #: YuNet's confidence, 0 to 1. Faces of 30 px and more are found always at 0.8, of 20 px 99
    #: times in 100 at 0.7. Of pictures without their face 6.5 % hold something at 0.7: mostly
    #: people in the background; a pattern of stars reaches 0.58.
    yunet_confidence_to_find: float = 0.7
    #: Closed eyes and blur leave 0.85 and more, a head that leans by 40 degrees 0.68 (1 in 100).
    yunet_confidence_to_follow: float = 0.5
    yunet_confidence_beside_larger: float = 0.8
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
class DenseLandmarkThresholds:
    """How MediaPipe's Face Landmarker is shown a face. Measured on 120 pictures of LFW.

    Found again with `manage.py models --measure --faces DIR`, which compares the points.
    """

    #: The crop's side over that of the face's box. Its graph is sure of 99 faces in 100 (presence
    #: above 0.99) with 1.3 to 1.7, with 1.9 of none of them.
    crop_growth: float = 1.45
    #: A head that leans further is cropped once more, upright. Leant by 15 degrees the points are
    #: off by 2.8 % of the distance between the eyes at the first try and by 1.1 % at the second, by
    #: 30 degrees by 10 and 2.2 %.
    upright_degrees: float = 8.0


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
    #: How much less red mouth, nose and cheeks may be than the root of the nose, see
    #: ``quality.redness_fall``; None where it is not looked at. LFW: 2 in 1132 lie above, both
    #: under a red cap; the next at 0.009. Of masks painted over 283 faces in blue, white, grey and
    #: black, where the face is still found and otherwise good, 98 % lie above, of black ones 85 %.
    max_redness_fall: float | None


@dataclass(frozen=True, slots=True)
class ClassPhotoThresholds:
    """Where faces are looked for in a picture of a class.

    Measured with dlib's HOG detector on 778 pictures of LFW, reduced to faces of 40, 60 and 90 px.
    """

    #: Tiles are enlarged until the detector finds faces of this height.
    smallest_face_px: int = 40
    #: Enlarged, one tile needs about 80 MB; a picture of 4000 x 3000 has nine.
    tile_side_px: int = 1600
    #: Faces of half of this are whole in some tile; the larger are found in the whole picture.
    tile_overlap_px: int = 200
    #: Of faces of 40 px 98.8 % are found, of 90 px 99.2 %; from 0.3 on it would be 97.4 and 98.4.
    #: A pattern on the astronaut's suit reaches 0.25: one more box without a name costs a lecturer
    #: less than a student who is not found (150 mosaics: 68 such boxes and a recall of 98.2 %, from
    #: 0.3 on 35 and 97.5 %).
    confidence_to_find: float = 0.1
    same_face_overlap: float = 0.5
    #: The surest are taken. Each costs about 15 ms.
    most_faces: int = 300


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
    max_redness_fall=None,
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
    max_redness_fall=0.05,
)

#: A face of a class photo: nobody is asked to come again, so this only says what is hard to see.
CLASS_PHOTO_QUALITY = replace(
    KIOSK_QUALITY, min_face_share=0.0, min_face_height_px=0.0, max_face_share=math.inf
)

DETECTION = DetectionThresholds()
DENSE_LANDMARKS = DenseLandmarkThresholds()
CLASS_PHOTO = ClassPhotoThresholds()

#: A face of a class photo. Less strict than at the door, since the lecturer sees every name before
#: it counts and the class is compared as a whole; the shape is that of the door's. At N=30, 1 % of
#: the strangers in 150 mosaics of one half of LFW's people pass 0.940; 0.945 is above it because
#: nobody looks twice at a name that stands there. In the other half: precision 99.7 %, recall
#: 98.2 %. A face's size needs no threshold of its own: 1 % pass 0.945 with faces of 40 px and
#: 0.944 with 60 and 90. Found again with `manage.py evaluate --faces DIR --class-photos
#: --draws 150`.
CLASS_PHOTO_IDENTIFICATION = IdentificationThresholds(
    similarity_at_size=((1, 0.930), (10, 0.942), (100, 0.949)),
    above_cohort_at_size=(),
    margin=0.01,
)


@dataclass(frozen=True, slots=True)
class TemplateUpdateThresholds:
    """When a template may learn from a check-in, and how much.

    Measured on LFW (1169 pictures of 649 people, 3 pictures enrolled, one picture a check-in) with
    `manage.py evaluate_updates --faces DIR`. After up to four check-ins, of which 2.3 are learned,
    FNIR at FPIR 0.1 % in a gallery of 30 falls from 4.7 % to 3.6 %; after two from 4.9 % to 4.1 %.
    """

    #: To the template and to the enrolment alone, whichever is less. Of 1.6 million comparisons
    #: with other people's pictures 57 reach 0.953, the match of a class of 30; one reaches 0.960
    #: and none this. At 0.960 FNIR would fall to 3.3 %, at 0.965 to 4.4 %.
    similarity: float = 0.962
    #: The lead over the runner-up, twice that of a match.
    margin: float = 0.02
    #: Of the template, for all check-ins together, when there are as many as are kept. With 0.33
    #: it is 3.7 %. Where the 57 are learned against the rules, the templates still find 88 %
    #: of their owners' pictures instead of 89 % and stay 0.992 alike to the enrolment, but match
    #: 65 % of the intruders' other pictures: hence the threshold above.
    learned_share: float = 0.4
    most_learned: int = 3


TEMPLATE_UPDATES = TemplateUpdateThresholds()


@dataclass(frozen=True, slots=True)
class AlertThresholds:
    """When faces that are nobody of the class are one person, and when they may be of the class.

    Measured on LFW with `manage.py evaluate_strangers --faces DIR`.
    """

    #: Of a visit to the mean of the visits before. Ten strangers with four visits each, pictures
    #: of different days: 2.9 % of the later visits make a further alert, 0.4 % of the people are
    #: taken for one who came before. At 0.93 1.5 and 0.8 %, at 0.94 4.8 and 0.2 %.
    same_face_similarity: float = 0.935
    #: So little below the threshold of the class, a refused face is most probably of the class: in
    #: a class of 30 there lie 92 % of its own members who are refused and 2.7 % of the strangers.
    near_miss: float = 0.015
