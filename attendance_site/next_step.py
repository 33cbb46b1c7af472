"""What somebody who signed in does next, for the home page."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from recognition.models import FaceRegistration
from recognition.selectors import FaceStanding, where_face_stands
from recognition.workers import active_model_id
from roster.models import RosterClaim, Student

Text = str | Promise


@dataclass(frozen=True, slots=True)
class NextStep:
    icon: str
    title: Text
    text: Text
    link: Text
    page: str = "face"

    @property
    def url(self) -> str:
        return reverse(self.page)


NUMBER_NEEDED = NextStep(
    "people",
    _("Tell us your student number"),
    _("Rollcall then knows which class lists you are on."),
    _("Enter the student number"),
    page="roster_claim",
)
NUMBER_WAITS = NextStep(
    "late",
    _("Your student number is being checked"),
    _("Your lecturer confirms that it is yours. You get a mail."),
    _("See what was sent"),
    page="roster_claim",
)
READY = NextStep(
    "good",
    _("You are ready"),
    _("Look at the kiosk and blink once when you come to class."),
    _("Your registration"),
)
DECLINED = NextStep(
    "notice",
    _("You check in without your face"),
    _("Tell the lecturer that you are here, who writes you down."),
    _("Change this"),
)
REGISTER = NextStep(
    "hint-look",
    _("Register your face"),
    _("It takes two minutes, with the camera or with pictures that you have."),
    _("Start"),
)
REGISTER_AGAIN = NextStep(
    "hint-look",
    _("Register your face again"),
    _("Rollcall now recognises faces in another way, which cannot use your earlier pictures."),
    _("Start"),
)
BY_STATUS: dict[str, NextStep] = {
    FaceRegistration.Status.DRAFT: NextStep(
        "camera",
        _("Send your pictures"),
        _("Your registration is begun and not sent yet."),
        _("Go on"),
    ),
    FaceRegistration.Status.AWAITING_CONSENT: NextStep(
        "notice",
        _("Say whether your pictures may be used"),
        _("The university has pictures of you. Nothing is done with them before you agree."),
        _("Read and decide"),
    ),
    FaceRegistration.Status.PENDING: NextStep(
        "late",
        _("Your lecturer looks at your pictures"),
        _("You get a mail when they have decided. There is nothing to do for you."),
        _("See the status"),
    ),
    FaceRegistration.Status.REJECTED: NextStep(
        "bad",
        _("Your pictures were not accepted"),
        _("Read why, then send others."),
        _("See why"),
    ),
}


def standing_of(user: User | AnonymousUser) -> FaceStanding | None:
    """Where the face of this account's student stands; None without a student number."""
    student: Student | None = getattr(user, "student", None)
    return where_face_stands(student, model_id=active_model_id()) if student else None


def next_step(user: User, standing: FaceStanding | None) -> NextStep:
    if standing is None:
        waits = user.roster_claims.filter(status=RosterClaim.Status.WAITING).exists()
        return NUMBER_WAITS if waits else NUMBER_NEEDED
    if standing.registration is not None:
        return BY_STATUS[standing.registration.status]
    if standing.template is not None:
        return READY
    if standing.declined:
        return DECLINED
    if standing.must_enrol_again:
        return REGISTER_AGAIN
    if standing.decision is not None and standing.decision.status in BY_STATUS:
        return BY_STATUS[standing.decision.status]
    return REGISTER


def has_answered(standing: FaceStanding) -> bool:
    """Whether the student has registered, or has said no to it."""
    return bool(
        standing.registration or standing.decision or standing.template or standing.declined
    )
