"""Mail to people. It is queued with what it tells of, and `accounts.mail_delivery` sends it.

What is attached waits encrypted in the mail's own row, which every host can read and which is
gone with the transaction. It goes as soon as the mail is sent or given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import make_msgid
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.utils import DNS_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.template import Context
from django.template.engine import Engine
from post_office.models import PRIORITY, STATUS, Email

from accounts.background import WorkWaits
from accounts.keyring import keyring
from accounts.language import spoken

# Told after the commit of a transaction that queued a mail.
mail_waits = WorkWaits("accounts.tasks.deliver_mails")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail, like `Attachment("pass.png", content, "image/png")`."""

    name: str
    content: bytes
    mimetype: str


def send_notice(
    *,
    to: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    attachments: Sequence[Attachment] = (),
) -> None:
    """Queue a mail in the caller's transaction; somebody without an address gets none.

    Call it within `in_language_of` the recipient, also for the subject. The text is
    `templates/mail/<template>.txt`, which has `site_url` besides the context, and
    gets the common footer.
    """
    if to:
        send_together([notice(to, subject, template, context, attachments)])


def notice(
    to: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    attachments: Sequence[Attachment] = (),
) -> EmailMessage:
    """The mail of `send_notice`, not queued yet."""
    text = _render(template, context) + "\n\n" + _render("_footer", {})
    title = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + " ".join(str(subject).split())
    message = EmailMessage(title, text, to=[to], headers={"Content-Language": spoken()})
    for attached in attachments:
        message.attach(attached.name, attached.content, attached.mimetype)
    return message


def send_together(messages: Sequence[EmailMessage]) -> None:
    """Queue many mails with one insert, in the caller's transaction."""
    get_connection().send_messages(messages)


def sent_mails_before(moment: datetime) -> QuerySet[Email]:
    """Mails that were sent, or given up, before that moment: no longer needed."""
    return Email.objects.filter(status__in=[STATUS.sent, STATUS.failed], last_updated__lt=moment)


class QueueBackend(BaseEmailBackend):
    """Writes mails to the database. post_office's own would run their text as a template."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        Email.objects.bulk_create(_waiting(message) for message in email_messages)
        transaction.on_commit(mail_waits.tell, robust=True)
        return len(email_messages)


def message_of(mail: Email) -> EmailMessage:
    """The queued mail as it is sent.

    Raises:
        cryptography.fernet.InvalidToken: none of `TEMPLATE_KEYS` opens what is attached.
    """
    message: EmailMessage = mail.prepare_email_message()
    for attached in (mail.context or {}).get("attachments", []):
        message.attach(attached["name"], _opened(attached, mail), attached["mimetype"])
    return message


def _waiting(message: EmailMessage) -> Email:
    # The same at every try, so that mailboxes know a double.
    message_id = make_msgid(domain=str(DNS_NAME))
    attachments = [_sealed(attached, message_id) for attached in message.attachments]
    return Email(
        from_email=message.from_email,
        to=message.to,
        cc=message.cc,
        bcc=message.bcc,
        subject=" ".join(message.subject.split()),
        message=message.body,
        headers=message.extra_headers,
        message_id=message_id,
        # post_office reads it only for mails that are made of a template of its own.
        context={"attachments": attachments} if attachments else None,
        status=STATUS.queued,
        priority=PRIORITY.medium,
    )


def _sealed(attached: Any, message_id: str) -> dict[str, str]:
    name, content, mimetype = attached
    if not isinstance(content, bytes):
        raise TypeError(f"got an attachment of {type(content).__name__}, the queue takes bytes")
    sealed = keyring().encrypt(_header(message_id) + content)
    return {"name": name, "mimetype": mimetype, "sealed": sealed.decode()}


def _opened(attached: dict[str, str], mail: Email) -> bytes:
    header = _header(mail.message_id)
    plain = keyring().decrypt(attached["sealed"])
    if not plain.startswith(header):
        raise ValueError(f"what is attached to mail {mail.pk} was sealed for another mail")
    return plain[len(header) :]


def _header(message_id: str) -> bytes:
    return f"mail|{message_id}|".encode()


def _render(template: str, context: dict[str, Any]) -> str:
    in_words = Context({**context, "site_url": settings.PUBLIC_URL}, autoescape=False)
    return Engine.get_default().get_template(f"mail/{template}.txt").render(in_words).strip()
