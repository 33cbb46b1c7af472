"""Where this server may be made to send something: to the public network only.

Whoever can enter an address could reach what only this server can reach, such as a database or a
cloud's metadata. So the name is resolved here, each address it has is judged, and the connection
goes to the very address that was judged: a name that answers something else a moment later (DNS
rebinding) gains nothing.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from integrations.addresses import address_in, is_public, is_within

CONNECT_S = 5.0
READ_S = 10.0
#: However slowly an answer comes: after this it is cut off.
ALTOGETHER_S = 20.0
MOST_ANSWER_BYTES = 2048
#: Longer than a date of HTTP in any of its three forms.
MOST_RETRY_AFTER = 40


class TargetRefusedError(Exception):
    """Nothing may be sent there; the text says why and what to do."""


class NotReachedError(Exception):
    """Nobody answered, or not in time. The text names no secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address of which one may be connected to: ``address`` is what was judged."""

    scheme: str
    host: str
    port: int
    path: str
    address: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said: the status and the first bytes of the text.

    ``retry_after`` is the header of that name as it came, seconds or a date.
    """

    status: int
    text: str
    duration_ms: int
    retry_after: str = ""


def target_of(url: str) -> Target:
    """Where a URL leads, if something may be sent there.

    Raises:
        TargetRefusedError: it is no public address over HTTPS, and none that is allowed.
        NotReachedError: the name cannot be resolved.
    """
    scheme, host, port, path = _parts_of(url)
    if scheme == "http" and not (settings.DEBUG or is_allowed_by_name(host)):
        raise TargetRefusedError(
            _("Got “%(url)s”, expected an address with https://.") % {"url": _shown(url)}
        )
    addresses = resolved(host, port)
    for address in addresses:
        require_public(host, address)
    return Target(scheme, host, port, path, addresses[0])


def require_public(host: str, address: str) -> None:
    """
    Raises:
        TargetRefusedError: the address is private and `WEBHOOK_ALLOWED_HOSTS` does not name it.
    """
    ip = address_in(address)
    if is_allowed_by_name(host) or is_within(ip, settings.WEBHOOK_ALLOWED_HOSTS) or is_public(ip):
        return
    raise TargetRefusedError(
        _(
            "“%(host)s” leads to the address %(address)s, which is not public. If it is meant, "
            "add it to WEBHOOK_ALLOWED_HOSTS."
        )
        % {"host": host, "address": ip}
    )


def _parts_of(url: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise TargetRefusedError(
            _(
                "Got “%(url)s”, expected an address like https://hr.example.edu/hooks, without "
                "user name and password."
            )
            % {"url": _shown(url)}
        )
    default = 443 if parts.scheme == "https" else 80
    path = parts.path or "/"
    return parts.scheme, host, port or default, f"{path}?{parts.query}" if parts.query else path


def _shown(url: str) -> str:
    """Without what may be a secret: a user, a password, a query."""
    return url.split("?")[0].split("@")[-1][:200]


def resolved(host: str, port: int) -> list[str]:
    """
    Raises:
        NotReachedError: the name cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotReachedError(
            _("The name “%(host)s” cannot be resolved.") % {"host": host}
        ) from error
    return list(dict.fromkeys(str(sockaddr[0]) for *_kind, sockaddr in found))


def is_allowed_by_name(host: str) -> bool:
    """Whether the own network may be reached under this name, also without HTTPS."""
    return host.lower() in {name.lower() for name in settings.WEBHOOK_ALLOWED_HOSTS}


# Sending


def post(url: str, *, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send a POST and read the beginning of its answer. Redirects are answers, not followed.

    Raises:
        TargetRefusedError: nothing may be sent there.
        NotReachedError: nobody answered, or not in time.
    """
    target = target_of(url)
    began = time.monotonic()
    connection = _connection(target)
    try:
        connection.connect()
        with _cut_off_in_time(connection):
            connection.request("POST", target.path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            text = answer.read(MOST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotReachedError(_in_words(error)) from error
    finally:
        connection.close()
    return Answer(
        status=answer.status,
        text=text.decode(errors="replace").replace("\0", "�"),
        duration_ms=round((time.monotonic() - began) * 1000),
        retry_after=answer.headers.get("Retry-After", "")[:MOST_RETRY_AFTER],
    )


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to the address that was judged; the certificate is checked for the name."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=READ_S)
        self._target = target

    def connect(self) -> None:
        pinned = (self._target.address, self._target.port)
        raw = socket.create_connection(pinned, timeout=CONNECT_S)
        try:
            if self._target.scheme == "https":
                context = ssl.create_default_context()
                raw = context.wrap_socket(raw, server_hostname=self._target.host)
            raw.settimeout(READ_S)
        except BaseException:
            raw.close()
            raise
        self.sock = raw


def _connection(target: Target) -> http.client.HTTPConnection:
    return _PinnedConnection(target)


@contextmanager
def _cut_off_in_time(connection: http.client.HTTPConnection) -> Iterator[None]:
    """A receiver that sends a byte every few seconds would never run into a socket's timeout.

    Raises:
        TimeoutError: it was cut off, though what had come may look like a whole answer.
    """
    is_over = threading.Event()

    def cut_off() -> None:
        is_over.set()
        sock = connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it has ended by itself

    timer = threading.Timer(ALTOGETHER_S, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_over.is_set():
        raise TimeoutError


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("The certificate is not valid: %(why)s.") % {"why": error.verify_message}
    if isinstance(error, TimeoutError):
        return _("No answer in time.")
    if isinstance(error, ConnectionRefusedError):
        return _("The connection was refused.")
    return _("The connection failed: %(kind)s.") % {"kind": type(error).__name__}
