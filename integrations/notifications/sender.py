"""Sends one message with Apprise, in a process of its own that can reach the public network only.

Apprise has a hundred services behind as many libraries, which resolve names and follow redirects
as they please. So every connection is judged at the moment at which it is made, whoever makes it,
by an audit hook, which cannot be taken off again. Other programs are not started, and no socket of
this machine is opened.

Reads one JSON object, ``{"url", "title", "body", "allowed"}``, and writes ``{"sent", "said"}``.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from integrations.addresses import address_in, is_public, is_within

_STARTS_PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
)


class ForbiddenError(Exception):
    """This process may not do that."""


def _addresses_of(names: list[str]) -> list[str]:
    found = []
    for name in names:
        try:
            found += [str(answer[4][0]) for answer in socket.getaddrinfo(name, None)]
        except OSError:
            continue  # a network, or a name that is not there
    return found


def guard(allowed: list[str]) -> None:
    """From now on only public addresses are connected to, and those that are allowed."""
    within = [*allowed, *_addresses_of(allowed)]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _STARTS_PROGRAMS:
            raise ForbiddenError(f"{event} is not for a message")
        if event not in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            return
        address = args[1]
        if not isinstance(address, tuple):
            raise ForbiddenError("a socket of this machine is not for a message")
        ip = address_in(str(address[0]))
        if not is_public(ip) and not is_within(ip, within):
            raise ForbiddenError(f"{ip} is not public")

    sys.addaudithook(hook)


def send(url: str, title: str, body: str) -> bool:
    """Whether the service took it."""
    import apprise

    asset = apprise.AppriseAsset(app_id="Rollcall", app_desc="Rollcall", secure_logging=True)
    sender = apprise.Apprise(asset=asset)
    return bool(sender.add(url)) and bool(sender.notify(body=body, title=title))


def main() -> None:
    asked = json.load(sys.stdin)
    guard(asked["allowed"])
    try:
        sent, said = send(asked["url"], asked["title"], asked["body"]), ""
    except ForbiddenError as error:
        sent, said = False, str(error)
    except Exception as error:
        # Its text may hold the address.
        sent, said = False, type(error).__name__
    json.dump({"sent": sent, "said": said}, sys.stdout)


if __name__ == "__main__":
    main()
