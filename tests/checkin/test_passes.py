"""A pass opens once, for whom it was made, while it is fresh, and nothing else opens."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import (
    IntegrityError,
    close_old_connections,
    connection,
    connections,
    transaction,
)
from django.db.models import CharField
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from post_office.models import STATUS, Email

from accounts.mail_delivery import MAX_TRIES, deliver_due_mails
from accounts.models import User
from checkin.models import Kiosk
from checkin.passes.models import EntryPass, PassUse
from checkin.passes.services import (
    REFUSAL_TEXTS,
    NoAddressError,
    PassRefusal,
    PassRefusedError,
    ShownPass,
    check,
    issue_pass,
    issue_passes,
    ms_until_next_step,
    redeem,
    replace_used,
    replace_used_passes,
    revoke_passes,
    rotating_payload,
)
from checkin.people.erasure import Account, erase_student
from checkin.people.merging import merge_students
from checkin.retention import purge
from recognition.engine.codes import read_code
from roster.models import ClassSession, Course, EntryPolicy, Student
from tests.support.cards import picture_in
from tests.support.letterbox import mail_server
from tests.support.live_server import free_port
from tests.support.school import (
    a_session,
    a_student,
    an_account_of,
    an_attendance,
    enrol_in,
    utc,
)

pytestmark = pytest.mark.django_db

AT_ONCE = 16
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _queue(settings: Any) -> None:
    settings.EMAIL_BACKEND = "accounts.mail.QueueBackend"
    settings.MAIL_TRANSPORT = "django.core.mail.backends.locmem.EmailBackend"


def read(png: bytes) -> str:
    """As a kiosk reads it."""
    return read_code(picture_in(png)) or ""


def mailed_pass(student: Student, *, at: datetime | None = None) -> str:
    """The payload of a new pass, out of the mail that it came with."""
    django_mail.outbox.clear()
    issue_pass(student=student, by=None, at=at or timezone.now())
    deliver_due_mails()
    [(_name, png, _type)] = django_mail.outbox[-1].attachments
    return read(png)


def show(
    payload: str, *sessions: ClassSession, at: datetime | None = None, **others: Any
) -> ShownPass:
    with transaction.atomic():
        return redeem(
            payload=payload,
            sessions=sessions,
            at=at or timezone.now(),
            **{"kiosk": None, **others},
        )


def refusal(payload: str, *sessions: ClassSession, **others: Any) -> PassRefusal:
    with pytest.raises(PassRefusedError) as refused:
        show(payload, *sessions, **others)
    return refused.value.refusal


def wants_face_and_pass(session: ClassSession) -> ClassSession:
    session.own_entry_policy = EntryPolicy.FACE_AND_PASS
    session.save()
    return session


# One-time passes


def test_a_mailed_pass_opens_the_session_once(
    eileen: Student, math_session: ClassSession, kiosk: Kiosk
) -> None:
    payload = mailed_pass(eileen)
    at = timezone.now()
    shown = show(payload, math_session, kiosk=kiosk, at=at)
    assert (shown.student, shown.kind, shown.sessions) == (eileen, "one_time", [math_session])
    use = PassUse.objects.get()
    assert (use.student, use.session, use.kiosk, use.at) == (eileen, math_session, kiosk, at)
    assert EntryPass.objects.get().state(at) == EntryPass.State.USED
    assert refusal(payload, math_session, kiosk=kiosk) == PassRefusal.USED


def test_the_code_stands_nowhere_in_the_database(eileen: Student) -> None:
    issue_pass(student=eileen, by=None, at=timezone.now())
    waiting = Email.objects.get()
    deliver_due_mails()
    [(_name, png, _type)] = django_mail.outbox[0].attachments
    payload = read(png)
    code = payload.partition(":")[2]
    entry_pass = EntryPass.objects.get()
    assert entry_pass.code_hash == hashlib.sha256(payload.encode()).hexdigest()
    assert code not in f"{vars(entry_pass)} {vars(waiting)} {django_mail.outbox[0].body}"
    assert "PNG" not in str(waiting.context)


def test_what_was_attached_goes_when_the_mail_is_sent_or_given_up(
    eileen: Student,
) -> None:
    issue_pass(student=eileen, by=None, at=timezone.now())
    assert Email.objects.get().context["attachments"]
    deliver_due_mails()
    assert Email.objects.get().context is None

    issue_pass(student=eileen, by=None, at=timezone.now())
    queued = Email.objects.filter(status=STATUS.queued)
    # What is attached was sealed for another mail, so this one cannot be sent.
    queued.update(number_of_retries=MAX_TRIES - 1, message_id="<another@mail>")
    deliver_due_mails()
    last = Email.objects.order_by("pk").last()
    assert last is not None
    assert (last.status, last.context) == (STATUS.failed, None)


def test_a_real_mail_server_receives_the_picture_and_a_camera_can_read_it(
    eileen: Student, math_session: ClassSession, settings: Any
) -> None:
    port = free_port()
    settings.MAIL_TRANSPORT = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    issue_pass(student=eileen, by=None, at=timezone.now())
    with mail_server(port) as box:
        deliver_due_mails()
        mail = box.wait_for("Your entry pass")
    assert mail["To"] == "eileen@example.edu"
    body = mail.get_body()
    assert body is not None
    assert "It lets in whoever shows it: keep it to yourself." in body.get_content()
    [picture] = mail.iter_attachments()
    assert (picture.get_content_type(), picture.get_filename()) == (
        "image/png",
        "rollcall-pass.png",
    )
    assert show(read(picture.get_content()), math_session).student == eileen


def test_a_new_pass_ends_the_one_before(eileen: Student, math_session: ClassSession) -> None:
    first, second = mailed_pass(eileen), mailed_pass(eileen)
    assert refusal(first, math_session) == PassRefusal.REVOKED
    assert show(second, math_session)


def test_a_revoked_pass_opens_nothing(eileen: Student, math_session: ClassSession) -> None:
    payload = mailed_pass(eileen)
    assert revoke_passes(eileen) == 1
    assert revoke_passes(eileen) == 0
    assert refusal(payload, math_session) == PassRefusal.REVOKED


def test_a_pass_lasts_until_the_class_of_next_week(
    eileen: Student, math: Course, settings: Any
) -> None:
    now = timezone.now()
    payload = mailed_pass(eileen, at=now)
    end = now + timedelta(days=settings.ENTRY_PASS_DAYS)
    next_week = a_session(math, starts_at=now + timedelta(days=7))
    assert refusal(payload, next_week, at=end) == PassRefusal.EXPIRED
    assert show(payload, next_week, at=end - SECOND)


def test_one_that_ran_out_before_it_was_replaced_is_too_old_and_not_revoked(
    eileen: Student, math_session: ClassSession
) -> None:
    payload = mailed_pass(eileen, at=timezone.now() - timedelta(days=30))
    mailed_pass(eileen)
    assert refusal(payload, math_session) == PassRefusal.EXPIRED


def test_at_most_one_pass_is_in_force(eileen: Student) -> None:
    mailed_pass(eileen)
    row = EntryPass.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        EntryPass.objects.create(student=eileen, code_hash="x", expires_at=row.expires_at)


def test_after_a_used_pass_comes_the_next_one_once(
    eileen: Student, math_session: ClassSession
) -> None:
    now = timezone.now()
    replace_used(eileen, now)
    assert not EntryPass.objects.exists()  # never had one, and does not want one
    used = mailed_pass(eileen)
    replace_used(eileen, now)
    assert EntryPass.objects.count() == 1  # not used yet
    show(used, math_session)
    replace_used(eileen, timezone.now())
    replace_used(eileen, timezone.now())
    assert EntryPass.objects.count() == 2
    deliver_due_mails()
    [(_name, png, _type)] = django_mail.outbox[-1].attachments
    assert show(read(png), math_session).student == eileen


def test_who_got_no_next_pass_at_the_door_gets_it_from_the_clock_once(
    eileen: Student, math_session: ClassSession
) -> None:
    show(mailed_pass(eileen), math_session)
    used_at = EntryPass.objects.get().used_at
    assert used_at is not None
    assert replace_used_passes(used_at + timedelta(seconds=30)) == 0  # the door may still do it
    assert replace_used_passes(used_at + timedelta(minutes=2)) == 1
    assert replace_used_passes(used_at + timedelta(minutes=4)) == 0
    assert [entry_pass.issued_by for entry_pass in EntryPass.objects.filter(used_at=None)] == [None]


def test_somebody_without_an_address_gets_none_and_the_text_says_what_to_do(
    math: Course, math_session: ClassSession
) -> None:
    nobody = a_student("S-9", "Nobody Known", math)
    with pytest.raises(NoAddressError, match=r"Nobody Known \(S-9\) has no e-mail address"):
        issue_pass(student=nobody, by=None, at=timezone.now())
    assert not EntryPass.objects.exists()


def test_passes_for_many_leave_out_only_those_without_an_address(
    eileen: Student, math: Course, alice: User
) -> None:
    nobody = a_student("S-9", "Nobody Known", math)
    mailed = issue_passes(students=[eileen, nobody], by=alice, at=timezone.now())
    assert [row.student for row in mailed.passes] == [eileen]
    assert mailed.passes[0].issued_by == alice
    assert mailed.without_address == [nobody]
    assert Email.objects.get().to == ["eileen@example.edu"]


# Rotating passes


def test_the_pass_of_the_own_page_opens_its_session_once(
    eileen: Student, math_session: ClassSession
) -> None:
    now = timezone.now()
    payload = rotating_payload(student=eileen, session=math_session, at=now)
    shown = show(payload, math_session, at=now)
    assert (shown.student, shown.kind, shown.sessions) == (eileen, "rotating", [math_session])
    assert refusal(payload, math_session, at=now) == PassRefusal.USED
    assert not EntryPass.objects.exists()


@pytest.mark.parametrize(
    ("later_s", "opens"), [(-1, False), (0, True), (29, True), (30, True), (59, True), (60, False)]
)
def test_a_rotating_pass_lasts_its_step_and_the_next(
    eileen: Student, math_session: ClassSession, later_s: int, opens: bool
) -> None:
    start = timezone.now().replace(second=0, microsecond=0)
    payload = rotating_payload(student=eileen, session=math_session, at=start)
    assert ms_until_next_step(start) == 30_000
    at = start + later_s * SECOND
    if opens:
        assert show(payload, math_session, at=at)
    else:
        expected = PassRefusal.EXPIRED if later_s > 0 else PassRefusal.UNKNOWN
        assert refusal(payload, math_session, at=at) == expected


def test_a_rotating_pass_is_for_its_session_only(
    eileen: Student, math: Course, math_session: ClassSession
) -> None:
    now = timezone.now()
    other = a_session(math)
    payload = rotating_payload(student=eileen, session=math_session, at=now)
    assert refusal(payload, other, at=now) == PassRefusal.OTHER_SESSION
    assert show(payload, other, math_session, at=now).sessions == [math_session]


def test_keys_can_be_changed_while_codes_are_shown(
    eileen: Student, math_session: ClassSession, settings: Any
) -> None:
    now = timezone.now()
    payload = rotating_payload(student=eileen, session=math_session, at=now)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    assert rotating_payload(student=eileen, session=math_session, at=now) != payload
    assert show(payload, math_session, at=now)
    settings.SECRET_KEY_FALLBACKS = []
    assert refusal(payload, math_session, at=now) == PassRefusal.UNKNOWN


@pytest.fixture
def shown_now(eileen: Student, math_session: ClassSession) -> tuple[str, datetime]:
    now = timezone.now()
    return rotating_payload(student=eileen, session=math_session, at=now), now


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(position=st.integers(0, 57), letter=st.characters(codec="utf-8"), cut=st.integers(0, 58))
def test_a_tampered_pass_opens_nothing(
    shown_now: tuple[str, datetime],
    math_session: ClassSession,
    position: int,
    letter: str,
    cut: int,
) -> None:
    payload, now = shown_now
    for forged in (
        payload[:position] + letter + payload[position + 1 :],
        payload[:position] + letter + payload[position:],
        payload[:cut] if cut < len(payload) else payload + "=",
        payload.lower(),
    ):
        if forged != payload:
            allowed = {PassRefusal.FOREIGN, PassRefusal.UNKNOWN}
            assert refusal(forged, math_session, at=now) in allowed
    assert not PassUse.objects.exists()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("", PassRefusal.FOREIGN),
        ("https://example.edu/menu", PassRefusal.FOREIGN),
        ("BEGIN:VCARD\nN:Somebody;\nEND:VCARD", PassRefusal.FOREIGN),
        ("rollcall1:" + "A" * 32, PassRefusal.FOREIGN),
        ("ROLLCALL1:", PassRefusal.UNKNOWN),
        ("ROLLCALL1:" + "A" * 32, PassRefusal.UNKNOWN),
        ("ROLLCALL1:\ud800\0" + "A" * 200, PassRefusal.UNKNOWN),
        ("ROLLCALL1:" + "A" * 32 + "\n", PassRefusal.UNKNOWN),
        ("ROLLCALL2:" + "A" * 48, PassRefusal.UNKNOWN),
        ("ROLLCALL2:é", PassRefusal.UNKNOWN),
    ],
)
def test_what_is_no_pass_of_ours_opens_nothing(
    math_session: ClassSession, payload: str, expected: PassRefusal
) -> None:
    assert refusal(payload, math_session) == expected


# Whose, where, and together with what


@pytest.mark.parametrize("kind", ["one_time", "rotating"])
def test_anothers_pass_is_no_second_factor_and_is_not_used_up(
    eileen: Student, math: Course, math_session: ClassSession, kind: str
) -> None:
    friend = a_student("S-3", "A Friend", math, email="friend@example.edu")
    now = timezone.now()
    payload = (
        mailed_pass(friend)
        if kind == "one_time"
        else rotating_payload(student=friend, session=math_session, at=now)
    )
    wants_face_and_pass(math_session)
    refused = refusal(payload, math_session, student=eileen, at=now)
    assert refused == PassRefusal.OTHER_STUDENT
    assert show(payload, math_session, student=friend, at=now).student == friend


def test_a_pass_opens_no_class_that_its_owner_is_not_in(
    eileen: Student, math: Course, chem_session: ClassSession, math_session: ClassSession
) -> None:
    payload = mailed_pass(eileen)
    assert refusal(payload, chem_session) == PassRefusal.NOT_IN_CLASS
    assert show(payload, chem_session, math_session).sessions == [math_session]
    rotating = rotating_payload(student=eileen, session=chem_session, at=timezone.now())
    assert refusal(rotating, chem_session) == PassRefusal.NOT_IN_CLASS


def test_who_has_left_the_course_does_not_come_in_with_a_pass(
    math: Course, math_session: ClassSession
) -> None:
    gone = a_student("S-4", "Gone Away", email="gone@example.edu")
    yesterday = timezone.localdate() - timedelta(days=2)
    enrol_in(math, gone, left_on=yesterday)
    assert refusal(mailed_pass(gone), math_session) == PassRefusal.NOT_IN_CLASS


def test_a_pass_alone_opens_only_where_it_is_enough(
    eileen: Student, math: Course, math_session: ClassSession
) -> None:
    either = a_session(math)
    strict = wants_face_and_pass(math_session)
    faces_only = a_session(math, own_entry_policy=EntryPolicy.FACE)
    payload = mailed_pass(eileen)
    assert refusal(payload, strict) == PassRefusal.NOT_ENOUGH
    assert refusal(payload, faces_only) == PassRefusal.NOT_ENOUGH
    assert refusal(payload, faces_only, student=eileen) == PassRefusal.NOT_ENOUGH
    assert show(payload, strict, faces_only, either).sessions == [either]
    assert show(mailed_pass(eileen), strict, student=eileen).sessions == [strict]


def test_a_refusal_leaves_the_callers_transaction_usable(
    eileen: Student, math_session: ClassSession
) -> None:
    now = timezone.now()
    payload = rotating_payload(student=eileen, session=math_session, at=now)
    show(payload, math_session, at=now)
    with transaction.atomic():
        with pytest.raises(PassRefusedError):
            redeem(payload=payload, sessions=[math_session], kiosk=None, at=now)
        assert Student.objects.filter(pk=eileen.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_is_rolled_back_leaves_the_pass_unused(
    eileen: Student, math_session: ClassSession
) -> None:
    payload = mailed_pass(eileen)
    with transaction.atomic():
        redeem(payload=payload, sessions=[math_session], kiosk=None, at=timezone.now())
        transaction.set_rollback(True)
    assert show(payload, math_session)


@pytest.mark.django_db(transaction=True)
def test_a_pass_is_redeemed_within_a_transaction_only(math_session: ClassSession) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        redeem(payload="", sessions=[math_session], kiosk=None, at=timezone.now())


def test_the_look_up_takes_a_pass_once_and_only_the_own_one(
    eileen: Student, dmitri: Student, math_session: ClassSession
) -> None:
    now = timezone.now()
    for payload in (
        mailed_pass(eileen),
        rotating_payload(student=eileen, session=math_session, at=now),
    ):
        with pytest.raises(PassRefusedError, match="another person's"):
            check(payload=payload, student=dmitri, at=now)
        check(payload=payload, student=eileen, at=now)
        with pytest.raises(PassRefusedError, match="used already"):
            check(payload=payload, student=eileen, at=now)
        assert refusal(payload, math_session, at=now) == PassRefusal.USED


def test_every_refusal_has_a_sentence_that_fits_the_kiosk() -> None:
    assert REFUSAL_TEXTS.keys() == set(PassRefusal)
    assert all(len(str(text).split()) <= 8 for text in REFUSAL_TEXTS.values())


# At one instant


def at_once(count: int, act: Callable[[], object]) -> list[object]:
    """What each of so many threads gets, an error as itself."""
    together, ends = threading.Barrier(count), []

    def run() -> None:
        close_old_connections()
        try:
            together.wait()
            ends.append(act())
        except Exception as error:
            ends.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["one_time", "rotating"])
def test_many_kiosks_at_one_instant_accept_a_pass_once(
    eileen: Student, math_session: ClassSession, kind: str
) -> None:
    now = timezone.now()
    payload = (
        mailed_pass(eileen)
        if kind == "one_time"
        else rotating_payload(student=eileen, session=math_session, at=now)
    )
    ends = at_once(AT_ONCE, lambda: show(payload, math_session, at=now))
    assert sum(isinstance(end, ShownPass) for end in ends) == 1
    refusals = [end.refusal for end in ends if isinstance(end, PassRefusedError)]
    assert refusals == [PassRefusal.USED] * (AT_ONCE - 1)
    assert PassUse.objects.count() == 1


# SQLite has one writer at a time, so nothing collides there, whatever is missing.
if connection.vendor == "postgresql":

    @pytest.mark.django_db(transaction=True)
    def test_control_without_the_unique_row_the_same_kiosks_accept_a_pass_twice(
        eileen: Student, math_session: ClassSession
    ) -> None:
        now = timezone.now()
        payload = rotating_payload(student=eileen, session=math_session, at=now)
        unique = PassUse._meta.get_field("code_hash")
        doubled = CharField(max_length=64)
        doubled.set_attributes_from_name("code_hash")
        with connection.schema_editor() as editor:
            editor.alter_field(PassUse, unique, doubled)
        try:
            ends = at_once(AT_ONCE, lambda: show(payload, math_session, at=now))
        finally:
            PassUse.objects.all().delete()
            with connection.schema_editor() as editor:
                editor.alter_field(PassUse, doubled, unique)
        assert sum(isinstance(end, ShownPass) for end in ends) > 1


@pytest.mark.django_db(transaction=True)
def test_a_pass_that_is_used_while_new_ones_are_issued_ends_in_one_in_force(
    eileen: Student, math_session: ClassSession
) -> None:
    payload = mailed_pass(eileen)
    turns = iter(range(8))

    def act() -> object:
        if next(turns) % 2:
            return show(payload, math_session)
        return issue_pass(student=eileen, by=None, at=timezone.now())

    ends = at_once(8, act)
    assert all(isinstance(end, ShownPass | EntryPass | PassRefusedError) for end in ends), ends
    assert EntryPass.objects.filter(used_at=None, revoked_at=None).count() == 1


# How long it is kept, and with whom it goes


def test_passes_and_their_uses_are_purged(
    eileen: Student, math_session: ClassSession, settings: Any
) -> None:
    now = timezone.now()
    show(mailed_pass(eileen), math_session)
    show(rotating_payload(student=eileen, session=math_session, at=now), math_session, at=now)
    purge(now + timedelta(hours=23))
    assert PassUse.objects.count() == 2
    purge(now + timedelta(hours=25))
    assert PassUse.objects.get().kind == "one_time"
    days = settings.ENTRY_PASS_DAYS + settings.PASS_RETENTION_DAYS
    purge(now + timedelta(days=days, seconds=-60))
    assert EntryPass.objects.count() == 1
    purge(now + timedelta(days=days, seconds=60))
    assert not EntryPass.objects.exists()
    assert not PassUse.objects.exists()


def test_erasing_a_student_takes_the_passes_along(
    eileen: Student, math_session: ClassSession
) -> None:
    show(mailed_pass(eileen), math_session)
    payload = mailed_pass(eileen)
    assert erase_student(student=eileen, account=Account.UNLINK).remaining == 0
    assert not EntryPass.objects.exists()
    assert refusal(payload, math_session) == PassRefusal.UNKNOWN


def test_merging_keeps_the_pass_of_the_record_that_stays(
    eileen: Student, chem: Course, math_session: ClassSession
) -> None:
    double = a_student("D-77", "Eileen M. Collins", chem, email="double@example.edu")
    kept, ended = mailed_pass(eileen), mailed_pass(double)
    merge_students(keep=eileen, other=double)
    assert refusal(ended, math_session) == PassRefusal.REVOKED
    assert show(kept, math_session).student == eileen


def test_merging_hands_over_a_pass_where_the_other_record_had_none(
    eileen: Student, chem: Course, math_session: ClassSession
) -> None:
    double = a_student("D-77", "Eileen M. Collins", chem, email="double@example.edu")
    payload = mailed_pass(double)
    merge_students(keep=eileen, other=double)
    assert show(payload, math_session).student == eileen


# The own page


@pytest.fixture
def as_eileen(client: Client, eileen: Student) -> Client:
    client.force_login(an_account_of(eileen))
    return client


def own_pass(client: Client, **asked: Any) -> str:
    answer = client.get(reverse("own_pass"), asked)
    assert "no-store" in answer.headers["Cache-Control"]
    return answer.text


def code_of(client: Client, session: ClassSession) -> Any:
    return client.get(reverse("own_pass_code", args=[session.pk]))


def test_the_page_shows_the_code_of_the_open_session(
    as_eileen: Client, math_session: ClassSession
) -> None:
    page = own_pass(as_eileen)
    assert "Linear Algebra" in page
    assert 'src="data:image/svg+xml' in page
    assert "Your face is not needed" in page
    answer = code_of(as_eileen, math_session)
    assert "no-store" in answer.headers["Cache-Control"]
    assert 0 < answer.json()["renew_ms"] <= 30_000
    wants_face_and_pass(math_session)
    assert "looks at your face first" in own_pass(as_eileen)


def test_of_several_open_sessions_one_is_chosen(
    as_eileen: Client, math_session: ClassSession, chem_session: ClassSession, eileen: Student
) -> None:
    enrol_in(chem_session.course, eileen)
    assert f'data-code-url="/me/pass/{math_session.pk}/code/"' in own_pass(as_eileen)
    chosen = own_pass(as_eileen, session=chem_session.pk)
    assert f'data-code-url="/me/pass/{chem_session.pk}/code/"' in chosen
    assert f'href="?session={math_session.pk}"' in chosen
    for nonsense in ("999999", "x", "-1"):
        assert "/me/pass/" in own_pass(as_eileen, session=nonsense)


def test_no_code_is_given_where_none_would_open(
    as_eileen: Client, math: Course, math_session: ClassSession, chem_session: ClassSession
) -> None:
    assert code_of(as_eileen, chem_session).status_code == 404  # not her class
    faces_only = a_session(math, own_entry_policy=EntryPolicy.FACE)
    assert code_of(as_eileen, faces_only).status_code == 404
    later = a_session(math, starts_at=timezone.now() + timedelta(hours=1))
    assert code_of(as_eileen, later).status_code == 404
    math_session.closed_at = timezone.now()
    math_session.save()
    assert code_of(as_eileen, math_session).status_code == 404


def test_nobody_else_gets_a_code(client: Client, math_session: ClassSession, alice: User) -> None:
    assert code_of(client, math_session).status_code == 302
    client.force_login(alice)  # teaches it, and is no student
    assert code_of(client, math_session).status_code == 302


def test_without_an_open_session_the_page_says_which_comes_next(
    as_eileen: Client, math: Course
) -> None:
    assert "None is planned either." in own_pass(as_eileen)
    math.timezone = "Asia/Shanghai"
    math.save()
    a_session(math, starts_at=utc(2030, 3, 4, 0), own_entry_policy=EntryPolicy.FACE)
    a_session(math, starts_at=utc(2030, 3, 4, 1), opens_early_min=20)
    page = own_pass(as_eileen)
    assert (
        "The next one is MATH Linear Algebra, Monday, 4 March 2030, 09:00 (Asia/Shanghai)." in page
    )
    assert "From 08:40" in page
    assert "data-opens-in-ms" not in page


def test_the_page_tells_what_the_door_recorded(
    as_eileen: Client, eileen: Student, math_session: ClassSession
) -> None:
    assert code_of(as_eileen, math_session).json()["recorded"] == ""
    row = an_attendance(math_session, eileen, arrived_at=utc(2026, 3, 2, 9, 2))
    recorded = "You are marked present, 09:02."
    assert code_of(as_eileen, math_session).json()["recorded"] == recorded
    math_session.check_out = True
    math_session.save()
    assert "when you leave" in code_of(as_eileen, math_session).json()["recorded"]
    row.left_at = utc(2026, 3, 2, 10, 30)
    row.save()
    assert "You left at 10:30." in code_of(as_eileen, math_session).json()["recorded"]


def test_students_mail_themselves_a_pass_five_times_an_hour(
    as_eileen: Client, eileen: Student, math_session: ClassSession
) -> None:
    assert "None was mailed to you yet." in own_pass(as_eileen)
    address = reverse("mail_own_pass")
    assert "on its way to eileen@example.edu" in as_eileen.post(address, follow=True).text
    assert "Valid until" in own_pass(as_eileen)
    assert EntryPass.objects.get().issued_by == eileen.user
    deliver_due_mails()
    [(_name, png, _type)] = django_mail.outbox[-1].attachments
    show(read(png), math_session)
    assert "<dt>Used</dt>" in own_pass(as_eileen)
    answers = [as_eileen.post(address, follow=True).text for _ in range(5)]
    assert ["many passes" in text for text in answers] == [False] * 4 + [True]
    revoke_passes(eileen)
    assert "<dt>Revoked</dt>" in own_pass(as_eileen)
    EntryPass.objects.all().delete()
    issue_pass(student=eileen, by=None, at=utc(2020, 1, 1))
    assert "<dt>Expired</dt>" in own_pass(as_eileen)
    assert as_eileen.get(address).status_code == 405


# The desk


def act(client: Client, model: str, name: str, *rows: Any) -> str:
    posted = {"action": name, "_selected_action": [row.pk for row in rows]}
    return client.post(reverse(f"admin:{model}_changelist"), posted, follow=True).text


def test_a_whole_course_gets_passes_and_who_has_one_keeps_it(
    as_alice: Client, alice: User, eileen: Student, math: Course, math_session: ClassSession
) -> None:
    kept = mailed_pass(eileen)
    a_student("S-3", "Frida", math, email="frida@example.edu")
    gone = a_student("S-4", "Gone", email="gone@example.edu")
    enrol_in(math, gone, left_on=timezone.localdate() - timedelta(days=2))
    a_student("S-9", "Nobody Known", math)
    page = act(as_alice, "roster_course", "mail_missing_passes", math)
    assert "1 pass was mailed." in page
    assert "No e-mail address, so no pass: Nobody Known (S-9)." in page
    assert show(kept, math_session).student == eileen
    assert EntryPass.objects.get(student__name="Frida").issued_by == alice
    EntryPass.objects.filter(student=eileen).delete()
    Student.objects.filter(name="Nobody Known").delete()
    mailed_pass(eileen)
    page = act(as_alice, "roster_course", "mail_missing_passes", math)
    assert "Nobody needs a pass" in page
    math.entry_policy = EntryPolicy.FACE
    math.save()
    assert "MATH takes no pass." in act(as_alice, "roster_course", "mail_missing_passes", math)


def test_the_lists_show_states_and_uses_and_no_code(
    as_alice: Client, eileen: Student, math_session: ClassSession, kiosk: Kiosk
) -> None:
    payload = mailed_pass(eileen)
    show(payload, math_session, kiosk=kiosk)
    mailed_pass(eileen)
    passes = reverse("admin:checkin_entrypass_changelist")
    for state, count in (("in_force", 1), ("used", 1), ("ended", 0)):
        answer = as_alice.get(passes, {"state": state})
        assert answer.context["cl"].result_count == count, state
    uses = as_alice.get(reverse("admin:checkin_passuse_changelist")).text
    assert "Door of 101" in uses
    used = EntryPass.objects.get(used_at__isnull=False)
    detail = as_alice.get(reverse("admin:checkin_entrypass_change", args=[used.pk])).text
    for page in (as_alice.get(passes).text, uses, detail):
        assert used.code_hash not in page
        assert payload.partition(":")[2] not in page


def test_a_lecturer_of_another_course_reaches_no_pass(
    as_alice: Client, dmitri: Student, chem: Course
) -> None:
    mailed_pass(dmitri)
    row = EntryPass.objects.get()
    act(as_alice, "checkin_entrypass", "end_pass", row)
    act(as_alice, "roster_course", "mail_missing_passes", chem)
    row.refresh_from_db()
    assert row.revoked_at is None
    assert EntryPass.objects.count() == 1
