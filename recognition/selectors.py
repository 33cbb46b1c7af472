"""Questions about who can be recognised, and the galleries that answer them at the door."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Case, CharField, Exists, OuterRef, Q, QuerySet, Value, When

from accounts.models import User
from recognition.engine.gallery import Cohort, Gallery, fuse
from recognition.engine.resemblance import FaceLike, resemblances
from recognition.engine.thresholds import (
    COHORT,
    IDENTIFICATION,
    IdentificationThresholds,
    ResemblanceThresholds,
)
from recognition.engine.types import Embedding, EngineError
from recognition.models import (
    Consent,
    FaceRegistration,
    FaceTemplate,
    IdentificationSetting,
    RegistrationPhoto,
    Resemblance,
    StudentFace,
)
from recognition.sealing import TemplateUnreadableError
from roster.models import ClassSession, Student
from roster.selectors import students_in, students_of

logger = logging.getLogger(__name__)


def templates_in_force(*, model_id: str) -> QuerySet[FaceTemplate]:
    """The templates that may be searched: not revoked, of this model, with consent."""
    return FaceTemplate.objects.filter(
        Exists(Consent.objects.filter(student=OuterRef("student"), withdrawn_at=None)),
        model_id=model_id,
        revoked_at=None,
    )


def in_force_after(template_id: int) -> FaceTemplate | None:
    """The template itself, or what it became by updates since; None once a person ended it."""
    template = FaceTemplate.objects.filter(pk=template_id).first()
    while template is not None and template.revoked_at is not None:
        template = template.next_ones.exclude(origin=FaceTemplate.Origin.ENROLMENT).first()
    return template


def has_consent(student: Student) -> bool:
    return Consent.objects.filter(student=student, withdrawn_at=None).exists()


def may_see_photo(user: User, photo: RegistrationPhoto) -> bool:
    """The student themselves, and who looks at what students of the class have handed in."""
    if photo.registration.student.user_id == user.pk:
        return True
    return (
        photo.registration.status != FaceRegistration.Status.DRAFT
        and user.has_perm("recognition.view_registrationphoto")
        and students_of(user).filter(pk=photo.registration.student_id).exists()
    )


def open_registration(student: Student) -> FaceRegistration | None:
    """The registration that is not decided yet; there is never a second one."""
    return student.face_registrations.filter(status__in=FaceRegistration.OPEN).first()


def pictures_of(registration: FaceRegistration | None) -> list[RegistrationPhoto]:
    """The pictures kept so far, without their contents."""
    if registration is None:
        return []
    return list(registration.photos.defer("sealed_picture", "sealed_vector"))


@dataclass(frozen=True, slots=True)
class FaceStanding:
    """Everything that a student is told about the own face.

    ``registration`` is the one that is open, ``decision`` the newest that a lecturer decided.
    """

    consent: Consent | None
    declined: bool
    consent_is_outdated: bool
    registration: FaceRegistration | None
    decision: FaceRegistration | None
    template: FaceTemplate | None
    must_enrol_again: bool


def where_face_stands(student: Student, *, model_id: str) -> FaceStanding:
    consents = list(student.consents.all())
    consent = next((one for one in consents if one.withdrawn_at is None), None)
    templates = list(student.face_templates.filter(revoked_at=None).defer("sealed_vector"))
    decided = (FaceRegistration.Status.APPROVED, FaceRegistration.Status.REJECTED)
    return FaceStanding(
        consent=consent,
        declined=bool(consents) and consent is None,
        consent_is_outdated=consent is not None
        and consent.policy_version != settings.CONSENT_POLICY_VERSION,
        registration=open_registration(student),
        decision=student.face_registrations.filter(status__in=decided)
        .order_by("-decided_at")
        .first(),
        template=next((one for one in templates if one.model_id == model_id), None),
        must_enrol_again=bool(templates) and all(one.model_id != model_id for one in templates),
    )


def with_recognisability(
    students: QuerySet[StudentFace], *, model_id: str
) -> QuerySet[StudentFace]:
    """Students annotated with ``recognisability``.

    One of: ready, waiting (for the lecturer), re_enrol, no_photo, declined, no_consent.
    """
    in_force = FaceTemplate.objects.filter(student=OuterRef("pk"), revoked_at=None)
    consents = Consent.objects.filter(student=OuterRef("pk"))
    pending = FaceRegistration.objects.filter(
        student=OuterRef("pk"), status=FaceRegistration.Status.PENDING
    )
    return students.annotate(
        recognisability=Case(
            When(
                ~Q(Exists(consents.filter(withdrawn_at=None))) & Q(Exists(consents)),
                then=Value("declined"),
            ),
            When(~Q(Exists(consents)), then=Value("no_consent")),
            When(Exists(in_force.filter(model_id=model_id)), then=Value("ready")),
            When(Exists(pending), then=Value("waiting")),
            When(Exists(in_force), then=Value("re_enrol")),
            default=Value("no_photo"),
            output_field=CharField(),
        )
    )


def faces_like(vector: Embedding, *, besides: Student, model_id: str) -> list[FaceLike]:
    """The other students whose template, or registration on its way, resembles this face.

    Ids are those of students, the most alike first.
    """
    templates = templates_in_force(model_id=model_id).exclude(student=besides)
    others = _by_student(templates) | _of_registrations(besides=besides, model_id=model_id)
    gallery = Gallery.of(others, model_id=model_id, dimensions=len(vector))
    return resemblances(vector, gallery, ResemblanceThresholds())


def _by_student(templates: QuerySet[FaceTemplate]) -> dict[int, Embedding]:
    owners = dict(templates.values_list("pk", "student_id"))
    return {owners[pk]: vector for pk, vector in _decrypted(templates).items()}


def _of_registrations(*, besides: Student, model_id: str) -> dict[int, Embedding]:
    photos = RegistrationPhoto.objects.filter(
        registration__status=FaceRegistration.Status.PENDING, model_id=model_id
    ).exclude(registration__student=besides)
    vectors: dict[int, list[Embedding]] = {}
    for photo in photos.select_related("registration"):
        vectors.setdefault(photo.registration.student_id, []).append(photo.vector())
    return {student_pk: fuse(of_student) for student_pk, of_student in vectors.items()}


def setting_in_force(*, model_id: str) -> IdentificationSetting | None:
    """The thresholds that were applied last for this model; None where none ever were."""
    return IdentificationSetting.objects.filter(model_id=model_id).first()


def thresholds_in_force(*, model_id: str) -> IdentificationThresholds:
    """When a face is a match: what was applied here, else what was measured of this model.

    Raises:
        EngineError: neither is there. The thresholds of one model say nothing of another.
    """
    setting = setting_in_force(model_id=model_id)
    if setting is not None:
        return setting.thresholds()
    if model_id in IDENTIFICATION:
        return IDENTIFICATION[model_id]
    raise EngineError(
        "no_thresholds",
        f"No thresholds are known for the model {model_id}, measured are those of "
        f"{', '.join(IDENTIFICATION)}. Run `manage.py evaluate --faces DIR --apply`, or measure "
        "on the own templates and apply the proposal at the desk, under Thresholds.",
    )


def look_alikes_of(template_id: int, *, among: Gallery) -> list[int]:
    """The templates of this gallery whose students are known to resemble the one of this template.

    One person twice counts too: until somebody has decided, it may be two.
    """
    owner = FaceTemplate.objects.filter(pk=template_id).values("student")
    alike = Resemblance.objects.filter(Q(student__in=owner) | Q(other__in=owner))
    pairs = alike.values_list("student_id", "other_id")
    students = {pk for pair in pairs for pk in pair}
    templates = FaceTemplate.objects.filter(student_id__in=students, model_id=among.model_id)
    others = set(templates.exclude(pk=template_id).values_list("pk", flat=True))
    return [pk for pk in among.ids if pk in others]


@dataclass(frozen=True, slots=True)
class _Cached:
    checked_at_s: float
    template_ids: frozenset[int]
    gallery: Gallery


class GalleryCache:
    """Decrypted galleries of the open sessions, in this process's memory only.

    A cached gallery is trusted for `fresh_s` seconds. Then the ids of the templates in force are
    read again: rows are never rewritten, so the same ids mean the same gallery, and only new ids
    are decrypted. Enrolment, revocation, withdrawn consent and changes of the class list thus
    reach every process within that time, without a message that could be missed.

    The people whom a cohort is drawn from are one more such gallery for each model: the newest
    templates of the institution, as many as `COHORT.most_people`.
    """

    def __init__(self, *, fresh_s: float = 1.0, keep: int = 64) -> None:
        self._fresh_s = fresh_s
        self._keep = keep
        self._cached: OrderedDict[tuple[Any, ...], _Cached] = OrderedDict()
        self._cohorts: OrderedDict[tuple[Any, ...], tuple[Gallery, Cohort]] = OrderedDict()
        self._lock = threading.Lock()

    def gallery_for(
        self,
        sessions: Sequence[ClassSession],
        *,
        model_id: str,
        dimensions: int,
        unless_model: str | None = None,
    ) -> Gallery:
        """One gallery of everybody on the class lists of these sessions.

        ``unless_model`` leaves out who has a template of that model too: they are searched there.
        """
        rows = templates_in_force(model_id=model_id).filter(_on_a_list_of(sessions))
        if unless_model is not None:
            newer = templates_in_force(model_id=unless_model).filter(student=OuterRef("student"))
            rows = rows.exclude(Exists(newer))
        key = _key(sessions, model_id, unless_model)
        return self._current(key, rows, model_id=model_id, dimensions=dimensions)

    def cohort_beside(self, gallery: Gallery, *, dimensions: int) -> Cohort:
        """The people outside this gallery with whom a probe is compared besides."""
        model_id = gallery.model_id
        newest = templates_in_force(model_id=model_id).order_by("-pk")[: COHORT.most_people]
        people = self._current(
            ("cohort", model_id), newest, model_id=model_id, dimensions=dimensions
        )
        key = (model_id, gallery.ids)
        with self._lock:
            beside = self._cohorts.get(key)
        if beside is None or beside[0] is not gallery or beside[1].people is not people:
            beside = gallery, Cohort.beside(gallery, people)
            with self._lock:
                _keep_newest(self._cohorts, key, beside, self._keep)
        return beside[1]

    def sizes(self) -> list[int]:
        """How many templates each gallery in memory holds, cohorts too."""
        with self._lock:
            return [len(cached.gallery) for cached in self._cached.values()]

    def _current(
        self,
        key: tuple[Any, ...],
        rows: QuerySet[FaceTemplate],
        *,
        model_id: str,
        dimensions: int,
    ) -> Gallery:
        now_s = time.monotonic()
        with self._lock:
            cached = self._cached.get(key)
        if cached is not None and now_s - cached.checked_at_s < self._fresh_s:
            return cached.gallery

        ids = frozenset(rows.values_list("pk", flat=True))
        if cached is not None and cached.template_ids == ids:
            gallery = cached.gallery
        else:
            known = _rows_of(cached.gallery) if cached is not None else {}
            vectors = {pk: known[pk] for pk in ids & known.keys()}
            new = FaceTemplate.objects.filter(pk__in=ids - known.keys())
            vectors |= _decrypted(new)
            gallery = Gallery.of(vectors, model_id=model_id, dimensions=dimensions)
        with self._lock:
            _keep_newest(self._cached, key, _Cached(now_s, ids, gallery), self._keep)
        return gallery


def _key(sessions: Sequence[ClassSession], *more: Any) -> tuple[Any, ...]:
    return ("class", *more, *sorted(session.pk for session in sessions))


def _keep_newest(kept: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)


def _on_a_list_of(sessions: Sequence[ClassSession]) -> Q:
    on_a_list = Q(pk__in=[])
    for session in sessions:
        on_a_list |= Q(student__in=students_in(session))
    return on_a_list


def _rows_of(gallery: Gallery) -> dict[int, Embedding]:
    return dict(zip(gallery.ids, gallery.matrix, strict=True))


def _decrypted(templates: QuerySet[FaceTemplate]) -> dict[int, Embedding]:
    vectors = {}
    for template in templates:
        try:
            vectors[template.pk] = template.vector()
        except TemplateUnreadableError as error:
            logger.error("template %s was left out of a gallery: %s", template.pk, error)
    return vectors
