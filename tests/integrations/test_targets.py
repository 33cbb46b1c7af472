"""Nothing is sent into the own network, whatever a name says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from pytest_django import Settings

from integrations import targets
from integrations.targets import NotReachedError, TargetRefusedError, post, target_of
from tests.support.receiver import a_receiver


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What names resolve to, each time that they are asked: the last answer stays."""
    known: dict[str, list[list[str]]] = {}

    def resolve(host: str, port: int, **_kwargs: object) -> list[object]:
        answers = known.get(host, [[host]])
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(targets.socket, "getaddrinfo", resolve)

    def set_answers(host: str, *answers: list[str]) -> None:
        known[host] = list(answers)

    return set_answers


PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 -- to be refused
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_into_the_own_network_is_refused(
    names: Callable[..., None], address: str
) -> None:
    names("hooks.example.edu", [address])
    with pytest.raises(TargetRefusedError, match="which is not public"):
        target_of("https://hooks.example.edu/")


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_a_private_address_itself_is_refused(address: str) -> None:
    with pytest.raises(TargetRefusedError):
        target_of(f"https://{address}/hooks")


@pytest.mark.parametrize(
    "written", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"]
)
def test_other_ways_to_write_it_are_resolved_as_the_system_does(written: str) -> None:
    """Whatever the system makes of it is what is judged."""
    with pytest.raises((TargetRefusedError, NotReachedError)):
        target_of(f"https://{written}/hooks")


def test_one_private_address_among_public_ones_is_enough(names: Callable[..., None]) -> None:
    names("hooks.example.edu", ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(TargetRefusedError, match=r"10\.0\.0\.1"):
        target_of("https://hooks.example.edu/")


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_a_public_address_is_taken(names: Callable[..., None], address: str) -> None:
    names("hooks.example.edu", [address])
    target = target_of("https://hooks.example.edu:8443/a?b=c")
    assert (target.address, target.port, target.path) == (address, 8443, "/a?b=c")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks",
        "ftp://example.edu/",
        "file:///etc/passwd",
        "https://",
        "https://user:password@example.edu/",
        "https://example.edu:notaport/",
        "gopher://example.edu:70/",
    ],
)
def test_what_is_no_address_of_the_web_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(TargetRefusedError) as refusal:
        target_of(url)
    assert "password" not in str(refusal.value).partition("without")[0]


def test_without_encryption_nothing_is_sent(names: Callable[..., None], settings: Settings) -> None:
    settings.DEBUG = False
    names("hooks.example.edu", ["93.184.216.34"])
    with pytest.raises(TargetRefusedError, match="expected an address with https"):
        target_of("http://hooks.example.edu/")


@pytest.mark.parametrize("allowed", ["hooks.internal", "10.0.0.0/8", "10.9.8.7"])
def test_what_is_allowed_by_name_or_network_is_taken(
    names: Callable[..., None], settings: Settings, allowed: str
) -> None:
    names("hooks.internal", ["10.9.8.7"])
    names("elsewhere.internal", ["192.168.0.1"])
    settings.WEBHOOK_ALLOWED_HOSTS = [allowed]
    assert target_of("https://hooks.internal/").address == "10.9.8.7"
    with pytest.raises(TargetRefusedError):
        target_of("https://elsewhere.internal/")


def test_the_connection_goes_to_the_address_that_was_judged(
    names: Callable[..., None], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """The name answers something public, and a moment later the own machine."""
    settings.DEBUG = True
    with a_receiver() as own_machine:
        names("hooks.example.edu", ["93.184.216.34"], ["127.0.0.1"])
        asked: list[tuple[str, int]] = []

        def connect(address: tuple[str, int], timeout: float) -> socket.socket:
            asked.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(targets.socket, "create_connection", connect)
        url = f"http://hooks.example.edu:{own_machine.port}/hooks"
        with pytest.raises(NotReachedError, match="refused"):
            post(url, body=b"{}", headers={})
        assert asked == [("93.184.216.34", own_machine.port)]
        assert own_machine.received == []
        with pytest.raises(TargetRefusedError):
            post(url, body=b"{}", headers={})


def test_an_answer_that_never_ends_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(targets, "ALTOGETHER_S", 0.5)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _address = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"X-Slow: 1\r\n" if not stop.is_set() else b"")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(NotReachedError):
                post(f"http://127.0.0.1:{server.getsockname()[1]}/", body=b"{}", headers={})
        finally:
            stop.set()
            thread.join(30)
