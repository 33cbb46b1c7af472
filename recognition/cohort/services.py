"""Photos of a whole cohort. Each function that writes is one transaction for one student."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.background import WorkWaits
from accounts.models import User
from recognition.cohort.archive import EntryRefusedError, PhotoArchive
from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.cohort.names import NamedByList, NamedByNumber
from recognition.engine.gallery import fuse
from recognition.engine.pool import WorkerLostError
from recognition.engine.types import Embedding, EngineError, PortraitAnalysis
from recognition.photos import MAX_PHOTOS, PhotoVerdict, outliers, verdict_on
from recognition.registration import hold_for_consent
from recognition.sealing import TemplateUnreadableError, seal_picture
from recognition.selectors import has_consent, open_registration, templates_in_force
from recognition.services import note_resemblances, store_template
from recognition.workers import active_model_id, require_models, worker_pool
from roster.models import Course, Student

logger = logging.getLogger(__name__)

Status = PhotoImport.Status
State = PhotoImportItem.State

# Longer than one picture takes: a worker is ended after 20 s, and there are three tries. After it
# the student of a process that was killed is taken up by another one.
CLAIM = timedelta(seconds=90)
# A request that is still unpacking after this time has ended in the middle.
RECEIVED_WITHIN = timedelta(hours=1)
# A picture that ends its worker so often is given up.
TRIES = 3

photos_wait = WorkWaits("recognition.tasks.look_for_photos")


# Receiving


def receive_photos(
    *,
    course: Course,
    archive: IO[bytes],
    archive_name: str,
    list_of_students: bytes | None = None,
    replaces_known: bool = False,
    added_by: User | None = None,
) -> PhotoImport:
    """Unpack a ZIP into encrypted rows that wait to be worked on; the ZIP is not needed any more.

    One row is written at a time, so that the database stays free for others.

    Raises:
        ArchiveRefusedError: nothing of it can be used. Nothing is kept.
    """
    photos = PhotoArchive(archive)
    within = list_of_students or photos.list_of_students()
    naming = (
        NamedByList(course, photos.entries, within)
        if within is not None
        else NamedByNumber(course, photos.entries)
    )
    photo_import = PhotoImport.objects.create(
        course=course,
        archive_name=archive_name[:200],
        replaces_known=replaces_known,
        created_by=added_by,
    )
    try:
        _receive_each(photo_import, photos, naming)
    except BaseException:
        photo_import.delete()
        raise
    PhotoImport.objects.filter(pk=photo_import.pk).update(status=Status.WORKING)
    photo_import.refresh_from_db()
    transaction.on_commit(photos_wait.tell, robust=True)
    return photo_import


def _receive_each(
    photo_import: PhotoImport, photos: PhotoArchive, naming: NamedByList | NamedByNumber
) -> None:
    received: dict[Student, int] = {}
    for entry, doubt in photos.pictures():
        item = PhotoImportItem(
            photo_import=photo_import, file_name=entry.name[-255:], state=State.REFUSED
        )
        try:
            item.student = naming.student_on(entry)
            if doubt:
                raise EntryRefusedError(doubt)
            _check_welcome(photo_import, item.student, received)
            content = photos.content(entry)
        except EntryRefusedError as refusal:
            item.verdict = str(refusal)
        else:
            item.state = State.WAITING
            item.sealed_picture = seal_picture(content, student_pk=item.student.pk)
            received[item.student] += 1
        item.save()
    if isinstance(naming, NamedByList):
        _tell_of_missing(photo_import, naming.not_in_the_zip())


def _check_welcome(
    photo_import: PhotoImport, student: Student, received: dict[Student, int]
) -> None:
    """A picture that must not or need not be used is not even stored."""
    if student not in received and (reason := reason_against(student, photo_import)):
        raise EntryRefusedError(reason)
    if received.setdefault(student, 0) >= MAX_PHOTOS:
        raise EntryRefusedError(
            _("There are more than %(most)d pictures of this student; the first ones are used.")
            % {"most": MAX_PHOTOS}
        )


def _tell_of_missing(photo_import: PhotoImport, names: Sequence[str]) -> None:
    PhotoImportItem.objects.bulk_create(
        PhotoImportItem(
            photo_import=photo_import,
            file_name=name[-255:],
            state=State.REFUSED,
            verdict=_("The list names this file, but it is not in the ZIP."),
        )
        for name in names
    )


def reason_against(student: Student, photo_import: PhotoImport) -> str:
    """Why no picture of this student may be used now; empty if nothing speaks against it."""
    agreed = has_consent(student)
    if not agreed and student.consents.exists():
        return _("The student does not agree to the use of their face.")
    if open_registration(student) is not None:
        return _("A registration of this student is open already.")
    known = templates_in_force(model_id=active_model_id()).filter(student=student)
    if known.exists() and not photo_import.replaces_known:
        return _("This student can be recognised already.")
    return ""


# Working


def students_done(photo_import_pk: int) -> Generator[None, None, None]:
    """Work on an import, one student after the other, as long as the caller asks for more.

    Any number of processes on any number of hosts may do it at once: each student is claimed first.
    It ends where no student is left whom nobody works on. The pictures of a student are deleted in
    the transaction that decides on them, and only while they still wait: what was begun twice
    counts once, and what a killed process had begun is begun again.

    Raises:
        EngineError: the models cannot be loaded.
        WorkerLostError: the workers are being ended.
    """
    while (claim := _Claim.on_next_student(photo_import_pk)) is not None:
        try:
            _work_on(claim)
        finally:
            claim.release()
        yield
    _finish(photo_import_pk)


def unclaimed(photo_import_pk: int | None = None) -> QuerySet[PhotoImportItem]:
    """Pictures that wait and that nobody works on, of this import or of all."""
    waiting = PhotoImportItem.objects.filter(
        Q(claimed_until=None) | Q(claimed_until__lte=timezone.now()),
        state=State.WAITING,
        photo_import__status=Status.WORKING,
    )
    return waiting if photo_import_pk is None else waiting.filter(photo_import=photo_import_pk)


class _Claim:
    """One process's right to work on the pictures of one student, lost when it is not renewed in
    time."""

    def __init__(self, rows: QuerySet[PhotoImportItem], until: datetime) -> None:
        self._rows = rows
        self._until: datetime | None = until

    @classmethod
    @transaction.atomic
    def on_next_student(cls, photo_import_pk: int) -> _Claim | None:
        free = unclaimed(photo_import_pk)
        # Whom another process is claiming at this moment is passed over. Where it has just done so,
        # the update finds nothing, and the next look knows better.
        free_students = (
            Student.objects.filter(Exists(free.filter(student=OuterRef("pk"))))
            .select_for_update(no_key=True, skip_locked=True)
            .order_by("pk")
        )
        while (student := free_students.first()) is not None:
            until = timezone.now() + CLAIM
            if free.filter(student=student).update(claimed_until=until):
                rows = PhotoImportItem.objects.filter(
                    photo_import=photo_import_pk, student=student, state=State.WAITING
                )
                return cls(rows, until)
        return None

    def items(self) -> list[PhotoImportItem]:
        mine = self._rows.filter(claimed_until=self._until).defer("sealed_picture")
        return list(mine.select_related("photo_import", "student__user"))

    def renewed(self) -> bool:
        until = timezone.now() + CLAIM
        held = self._until is not None and (
            self._rows.filter(
                claimed_until=self._until, photo_import__status=Status.WORKING
            ).update(claimed_until=until)
            > 0
        )
        self._until = until if held else None
        return held

    def release(self) -> None:
        if self._until is not None:
            self._rows.filter(claimed_until=self._until).update(claimed_until=None)


@dataclass(slots=True)
class _Looked:
    """One picture as a worker saw it."""

    item: PhotoImportItem
    verdict: PhotoVerdict
    portrait: PortraitAnalysis | None

    @property
    def embedding(self) -> Embedding | None:
        face = self.portrait.analysis.main_face if self.portrait else None
        return face.embedding if face else None


def _work_on(claim: _Claim) -> None:
    """Look at the pictures of one student, one at a time, so that kiosks keep the workers."""
    items = claim.items()
    if not items:
        return  # erased or stopped since
    photo_import, student = items[0].photo_import, items[0].student
    assert student is not None  # noqa: S101
    agreed = has_consent(student)
    looked: list[_Looked] = []
    if not reason_against(student, photo_import):
        for item in items:
            looked.append(_looked_at(item, embed=agreed))
            if not claim.renewed():
                return
    _decide(items, looked, agreed=agreed)


def _looked_at(item: PhotoImportItem, *, embed: bool) -> _Looked:
    found = _portrait_of(item, embed=embed)
    if isinstance(found, EngineError):
        return _Looked(item, verdict_on(found), None)
    verdict = verdict_on(found.analysis)
    return _Looked(item, verdict, found if verdict.accepted else None)


def _portrait_of(item: PhotoImportItem, *, embed: bool) -> PortraitAnalysis | EngineError:
    require_models()
    try:
        content = item.picture()
    except TemplateUnreadableError:
        return EngineError(
            "unreadable", _("The stored picture cannot be decrypted any more. Send it again.")
        )
    for _try in range(TRIES):
        try:
            return worker_pool().analyse_portrait(content, embed=embed).result()
        except EngineError as error:
            return error
        except WorkerLostError:
            logger.warning("photo %s of an import was lost with its worker", item.pk)
            require_models()  # tells a worker that died from a pool that is being closed
    return EngineError("not_analysed", _("The picture cannot be analysed. Choose another one."))


@transaction.atomic
def _decide(items: Sequence[PhotoImportItem], looked: Sequence[_Looked], *, agreed: bool) -> None:
    """Use, hold or refuse the pictures of one student, and delete them."""
    photo_import, student = items[0].photo_import, items[0].student
    assert student is not None  # noqa: S101
    # Locked first, as everywhere: what the student decides waits for this, or was before it.
    Student.objects.select_for_update().get(pk=student.pk)
    still_waiting = PhotoImportItem.objects.filter(
        pk__in=[item.pk for item in items], state=State.WAITING
    )
    if still_waiting.count() < len(items):
        return  # another process was faster
    if reason := reason_against(student, photo_import):
        _refuse(still_waiting, reason)
    elif looked and has_consent(student) == agreed:
        _keep(student, looked, photo_import.created_by, agreed=agreed)
    # Otherwise the student has decided meanwhile, and the pictures are looked at again.


def _keep(
    student: Student, looked: Sequence[_Looked], added_by: User | None, *, agreed: bool
) -> None:
    if agreed:
        _leave_out_outliers(looked)
    usable = [one for one in looked if one.verdict.accepted]
    if usable and agreed:
        _enrol(student, [one.embedding for one in usable if one.embedding is not None], added_by)
    elif usable:
        portraits = [one.portrait for one in usable if one.portrait is not None]
        hold_for_consent(student=student, portraits=portraits, added_by=added_by)
    for one in looked:
        accepted = State.USED if agreed else State.HELD
        _close(one.item, accepted if one.verdict.accepted else State.REFUSED, one.verdict.message)


def _leave_out_outliers(looked: Sequence[_Looked]) -> None:
    embeddings = {at: one.embedding for at, one in enumerate(looked) if one.embedding is not None}
    for at in outliers(embeddings):
        looked[at].verdict = PhotoVerdict.unlike_others()


def _enrol(student: Student, embeddings: Sequence[Embedding], added_by: User | None) -> None:
    store_template(student=student, embeddings=embeddings, created_by=added_by)
    note_resemblances(student=student, vector=fuse(embeddings))


def _close(item: PhotoImportItem, state: PhotoImportItem.State, verdict: str) -> None:
    PhotoImportItem.objects.filter(pk=item.pk).update(
        state=state, verdict=verdict[:500], sealed_picture=b"", claimed_until=None
    )


def _refuse(items: QuerySet[PhotoImportItem], reason: str) -> None:
    items.update(state=State.REFUSED, verdict=reason[:500], sealed_picture=b"", claimed_until=None)


@transaction.atomic
def _finish(photo_import_pk: int) -> None:
    waiting = PhotoImportItem.objects.filter(photo_import=photo_import_pk, state=State.WAITING)
    working = PhotoImport.objects.filter(pk=photo_import_pk, status=Status.WORKING)
    if not waiting.exists() and working.update(status=Status.FINISHED, finished_at=timezone.now()):
        logger.info("photo import %s is finished", photo_import_pk)


# Ending


@transaction.atomic
def stop_import(photo_import: PhotoImport) -> None:
    """Delete the pictures that still wait. What was decided stays as it is."""
    _refuse(
        photo_import.items.filter(state=State.WAITING),
        _("The import was stopped before this picture."),
    )
    PhotoImport.objects.filter(pk=photo_import.pk, status__in=PhotoImport.UNFINISHED).update(
        status=Status.STOPPED, finished_at=timezone.now()
    )


def stop_broken_uploads() -> None:
    """Imports whose upload ended in the middle: the rest of the ZIP will not come any more."""
    broken = PhotoImport.objects.filter(
        status=Status.RECEIVING, created_at__lt=timezone.now() - RECEIVED_WITHIN
    )
    for photo_import in broken:
        stop_import(photo_import)


def unfinished_imports_before(moment: datetime) -> QuerySet[PhotoImport]:
    """Imports that nobody finished in time; their pictures go with them."""
    return PhotoImport.objects.filter(status__in=PhotoImport.UNFINISHED, created_at__lt=moment)


def finished_imports_before(moment: datetime) -> QuerySet[PhotoImport]:
    """The verdicts of old imports. They hold no pictures any more, but names of files."""
    return PhotoImport.objects.filter(finished_at__lt=moment)
