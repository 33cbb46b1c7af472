"""A key is changed while the site runs: nothing is lost, and nothing stays under the old one."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.core.mail import EmailMessage, get_connection
from django.core.management import CommandError, call_command
from django.db import connection, models
from post_office.models import Email

from accounts.keyring import keyring
from accounts.mail import message_of
from accounts.models import User
from checkin.alerts.models import Alert
from checkin.class_photo.models import ClassPhoto
from checkin.models import Kiosk, ReportExport
from integrations.operations import key_rotation
from integrations.operations.key_rotation import columns, look, rotate
from recognition.engine.template_updates import TemplateParts
from recognition.models import FaceTemplate, RegistrationPhoto
from recognition.services import sealed
from roster.models import ClassSession, Student
from tests.support.face_samples import an_embedding
from tests.support.school import MODEL_ID
from tests.support.whole_life import JPEG, live_a_whole_life

TOTP_SECRET = "JBSWY3DPEHPK3PXP"
ATTACHED = b"a pass as a picture"

Keys = tuple[str, str]


@pytest.fixture
def keys(settings: Any) -> Keys:
    """The old one, which is in use, and the new one."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.TEMPLATE_KEYS = [old]
    return old, new


@pytest.fixture
def sealed_with_old(
    keys: Keys,
    eileen: Student,
    dmitri: Student,
    math_session: ClassSession,
    kiosk: Kiosk,
    admin: User,
) -> Student:
    """Somebody of whom there is something sealed in every column that seals."""
    live_a_whole_life(eileen, other=dmitri, session=math_session, kiosk=kiosk, staff=admin)
    parts = TemplateParts(an_embedding(1)[None], an_embedding(2)[None])
    FaceTemplate.objects.filter(student=eileen).update(
        **sealed(parts, student_pk=eileen.pk, model_id=MODEL_ID)
    )
    stranger = Alert(kind=Alert.Kind.STRANGER, session=math_session, kiosk=kiosk, model_id=MODEL_ID)
    stranger.seal_embedding(an_embedding(4))
    stranger.save()
    Authenticator.objects.all().delete()
    TOTP.activate(eileen.user, TOTP_SECRET)
    mail = EmailMessage("Your pass", "Here it is", to=["eileen@private.example"])
    mail.connection = get_connection("accounts.mail.QueueBackend")
    mail.attach("pass.png", ATTACHED, "image/png")
    mail.send()
    return eileen


def rotate_now() -> str:
    told = io.StringIO()
    call_command("rotate_keys", stdout=told, stderr=told)
    return told.getvalue()


def tokens_in_the_database() -> Iterator[bytes]:
    """Read past the ORM and past the code under test: every value of every table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            for row in cursor.fetchall():
                for value in row:
                    text = (
                        bytes(value)
                        if isinstance(value, bytes | memoryview)
                        else str(value).encode()
                    )
                    yield from re.findall(rb"gAAAAA[\w-]{90,}=*", text)


def opens(key: str, token: bytes) -> bool:
    try:
        Fernet(key).decrypt(token)
    except InvalidToken:
        return False
    return True


def test_the_cast_has_something_in_every_column_that_is_called_sealed(
    sealed_with_old: Student,
) -> None:
    """A new sealed column of a person must come into `live_a_whole_life`: the next tests use it."""
    found = {(one.column.model, one.column.name) for one in look()}
    sealing = {
        (model, one.name)
        for model in apps.get_models()
        if not model._meta.proxy and model._meta.app_label in ("accounts", "recognition", "checkin")
        for one in model._meta.local_concrete_fields
        if one.name.startswith("sealed") or isinstance(one, models.BinaryField)
    }
    assert len(sealing) >= 12
    assert sealing <= found
    assert {(Authenticator, "data"), (Email, "context")} <= found


def test_in_every_column_of_every_model_a_token_is_sealed_anew(settings: Any, keys: Keys) -> None:
    """Also in those of which nobody has thought, and those that are still to come."""
    old, new = keys
    token = Fernet(old).encrypt(b"sealed")
    settings.TEMPLATE_KEYS = [new, old]
    for column in columns():
        value: Any = token.decode()
        if isinstance(column.kind, models.BinaryField):
            value = memoryview(token)
        if isinstance(column.kind, models.JSONField):
            value = {"deep": [1, None, {"inside": token.decode()}]}
        anew = key_rotation._sealed_anew(column, value)
        inside = anew["deep"][2]["inside"] if isinstance(anew, dict) else anew
        assert opens(new, inside.encode() if isinstance(inside, str) else inside), column
        assert key_rotation._sealed_anew(column, anew) is None, column


def test_no_column_with_room_for_something_sealed_is_left_out() -> None:
    looked_at = {(column.model, column.name) for column in columns()}
    for model in apps.get_models(include_auto_created=True):
        for one in model._meta.local_concrete_fields:
            roomy = isinstance(one, models.BinaryField | models.TextField | models.JSONField)
            if model._meta.managed and not model._meta.proxy and roomy:
                assert (model, one.name) in looked_at


def test_afterwards_nothing_in_the_database_opens_with_the_old_key_and_all_with_the_new(
    settings: Any, keys: Keys, sealed_with_old: Student
) -> None:
    old, new = keys
    before = list(tokens_in_the_database())
    assert len(before) >= 14
    assert all(opens(old, token) for token in before)
    settings.TEMPLATE_KEYS = [new, old]
    told = rotate_now()
    after = list(tokens_in_the_database())
    assert len(after) == len(before)
    assert all(opens(new, token) and not opens(old, token) for token in after)
    assert "Nothing is sealed with an older key" in told


def test_everything_is_read_with_the_new_key_alone(
    settings: Any, keys: Keys, sealed_with_old: Student
) -> None:
    vector = FaceTemplate.objects.get().vector()
    settings.TEMPLATE_KEYS = [keys[1], keys[0]]
    rotate_now()
    settings.TEMPLATE_KEYS = [keys[1]]
    template = FaceTemplate.objects.get()
    assert (template.vector() == vector).all()
    assert len(template.parts().learned) == 1
    photo = RegistrationPhoto.objects.get()
    assert photo.picture() == JPEG
    assert ClassPhoto.objects.get().picture() == JPEG
    assert Alert.objects.get(kind="denied").picture() == JPEG
    assert Alert.objects.get(kind="stranger").embedding() is not None
    assert (
        keyring().decrypt(bytes(ReportExport.objects.get().sealed_file))
        == str(sealed_with_old).encode()
    )
    authenticator = Authenticator.objects.get(type="totp")
    secret = authenticator.wrap()
    assert isinstance(secret, TOTP)
    assert keyring().decrypt(authenticator.data["secret"].encode()).decode() == TOTP_SECRET
    mail = Email.objects.get(subject="Your pass")
    assert message_of(mail).attachments[0][1] == ATTACHED


def test_other_columns_and_times_of_change_stay_as_they_were(
    settings: Any, keys: Keys, sealed_with_old: Student
) -> None:
    before = Email.objects.order_by("pk").values_list("pk", "last_updated", "message", "status")
    before = list(before)
    settings.TEMPLATE_KEYS = [keys[1], keys[0]]
    rotate_now()
    after = Email.objects.order_by("pk").values_list("pk", "last_updated", "message", "status")
    assert list(after) == before


def test_a_dry_run_counts_and_changes_nothing(
    settings: Any, keys: Keys, sealed_with_old: Student
) -> None:
    settings.TEMPLATE_KEYS = [keys[1], keys[0]]
    before = sorted(tokens_in_the_database())
    told = io.StringIO()
    call_command("rotate_keys", "--dry-run", stdout=told)
    assert "recognition.FaceTemplate.sealed_vector: 1 sealed, 1 would be" in told.getvalue()
    assert sorted(tokens_in_the_database()) == before


def test_a_run_that_was_cut_off_is_taken_up_where_it_ended(
    settings: Any, monkeypatch: pytest.MonkeyPatch, keys: Keys, sealed_with_old: Student
) -> None:
    settings.TEMPLATE_KEYS = [keys[1], keys[0]]
    done: list[str] = []

    def end_after_three(column: Any, count: int) -> None:
        done.append(str(column))
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(each_batch=end_after_three)
    of_both = {opens(keys[1], token) for token in tokens_in_the_database()}
    assert of_both == {True, False}
    again: list[str] = []
    rotate(each_batch=lambda column, count: again.append(str(column)))
    assert not set(done) & set(again)
    assert not any(one.old for one in look())
    assert rotate() == 0


def test_batches_reach_every_row(
    settings: Any, monkeypatch: pytest.MonkeyPatch, keys: Keys, admin: User
) -> None:
    monkeypatch.setattr(key_rotation, "BATCH_ROWS", 3)
    for number in range(8):
        an_export(f"file {number}".encode())
    settings.TEMPLATE_KEYS = [keys[1], keys[0]]
    assert rotate() == 8
    settings.TEMPLATE_KEYS = [keys[1]]
    files = ReportExport.objects.order_by("pk").values_list("sealed_file", flat=True)
    assert [keyring().decrypt(bytes(file)) for file in files] == [
        f"file {number}".encode() for number in range(8)
    ]


def test_what_no_key_opens_stays_and_is_told(settings: Any, keys: Keys, admin: User) -> None:
    export = an_export(b"lost")
    settings.TEMPLATE_KEYS = [keys[1], Fernet.generate_key().decode()]
    told = rotate_now()
    assert "checkin.ReportExport.sealed_file: 1 sealed, 0 still" in told
    assert "1 that no key opens" in told
    assert "Bring the lost key back" in told
    assert Fernet(keys[0]).decrypt(bytes(ReportExport.objects.get(pk=export.pk).sealed_file))


def test_a_text_that_only_begins_like_something_sealed_is_left_alone(
    settings: Any, keys: Keys, eileen: Student
) -> None:
    Student.objects.filter(pk=eileen.pk).update(name="gAAAAA is no name")
    settings.TEMPLATE_KEYS = [keys[1], keys[0]]
    rotate_now()
    eileen.refresh_from_db()
    assert eileen.name == "gAAAAA is no name"


def test_a_process_that_still_seals_with_the_old_key_is_found_out(
    settings: Any, monkeypatch: pytest.MonkeyPatch, keys: Keys, admin: User
) -> None:
    old, new = keys
    settings.TEMPLATE_KEYS = [new, old]
    rotate_really = key_rotation.rotate

    def while_another_seals(**options: Any) -> int:
        count = rotate_really(**options)
        settings.TEMPLATE_KEYS = [old, new]
        an_export(b"of the other process")
        settings.TEMPLATE_KEYS = [new, old]
        return count

    monkeypatch.setattr("integrations.management.commands.rotate_keys.rotate", while_another_seals)
    with pytest.raises(CommandError, match="a process still runs with the old TEMPLATE_KEYS"):
        rotate_now()


@pytest.mark.django_db(transaction=True)
def test_what_somebody_writes_meanwhile_is_not_lost(
    settings: Any, monkeypatch: pytest.MonkeyPatch, keys: Keys, admin: User
) -> None:
    """The writer comes between the rotation's reading and its writing, and has to wait."""
    old, new = keys
    export = an_export(b"before")
    settings.TEMPLATE_KEYS = [new, old]
    seal_really = key_rotation._sealed_anew
    newer = keyring().encrypt(b"written meanwhile")
    writers: list[threading.Thread] = []

    def write() -> None:
        try:
            ReportExport.objects.filter(pk=export.pk).update(sealed_file=newer)
        finally:
            connection.close()

    def seal_while_another_writes(column: Any, value: Any) -> Any:
        anew = seal_really(column, value)
        if anew is not None and not writers:
            writers.append(threading.Thread(target=write))
            writers[0].start()
            writers[0].join(0.3)
            assert writers[0].is_alive(), "nothing held the writer back"
        return anew

    monkeypatch.setattr(key_rotation, "_sealed_anew", seal_while_another_writes)
    rotate()
    writers[0].join()
    kept = ReportExport.objects.get(pk=export.pk)
    assert keyring().decrypt(bytes(kept.sealed_file)) == b"written meanwhile"


def an_export(content: bytes) -> ReportExport:
    return ReportExport.objects.create(
        made_by=User.objects.first(),
        report="course",
        subject="MATH",
        kind="csv",
        file_name="a.csv",
        row_count=1,
        sealed_file=keyring().encrypt(content),
    )
