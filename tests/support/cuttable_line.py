"""A wire between browser and server that a test can cut, freeze and mend.

Browsers cut only what they want to: an emulated “offline” leaves open websockets alone.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65536


class CuttableLine:
    """Passes bytes on from its own ``port`` to the server's, as long as it is whole."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._other: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._cut = self._frozen = self._ended = False
        self._freezing_words: bytes | None = None
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Connections break at once, and none comes about: the server was switched off."""
        self._cut = True

    def freeze(self) -> None:
        """Nothing comes through and nobody is told: the access point has lost its uplink."""
        self._frozen = True

    def freeze_at(self, words: bytes) -> None:
        """Freeze as soon as the server says this, before anybody hears it."""
        self._freezing_words = words

    @property
    def frozen(self) -> bool:
        return self._frozen

    def mend(self) -> None:
        """Whatever was held up by a frozen line is lost with its connections."""
        with self._lock:
            self._drop_all()
        self._cut = self._frozen = False
        self._freezing_words = None

    def end(self) -> None:
        self._ended = True
        self._thread.join(timeout=5)
        self._drop_all()
        self._listener.close()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        listener.setblocking(False)
        return listener

    def _run(self) -> None:
        while not self._ended:
            with self._lock:
                if self._cut:
                    self._drop_all()
                waiting = [self._listener, *self._other]
            with selectors.DefaultSelector() as ready:
                for one in waiting:
                    with suppress(ValueError, KeyError):
                        ready.register(one, selectors.EVENT_READ)
                chosen = [key.fileobj for key, _events in ready.select(timeout=0.02)]
            with self._lock:
                for one in chosen:
                    assert isinstance(one, socket.socket)
                    self._serve(one)

    def _serve(self, one: socket.socket) -> None:
        if one is self._listener:
            self._accept()
        elif not self._frozen and one in self._other:
            self._pass_on(one)

    def _accept(self) -> None:
        with suppress(OSError):
            near, _address = self._listener.accept()
            if self._cut:
                near.close()
                return
            far = socket.create_connection(("127.0.0.1", self._server_port))
            self._other[near], self._other[far] = far, near

    def _pass_on(self, one: socket.socket) -> None:
        try:
            chunk = one.recv(CHUNK)
            if self._freezing_words and self._freezing_words in chunk:
                self._frozen = True
                return
            if chunk:
                self._other[one].sendall(chunk)
                return
        except OSError:
            pass
        self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other = self._other.pop(one, None)
        one.close()
        if other is not None:
            self._other.pop(other, None)
            other.close()

    def _drop_all(self) -> None:
        for one in list(self._other):
            self._drop(one)


@contextmanager
def cuttable_line(server_port: int) -> Iterator[CuttableLine]:
    line = CuttableLine(server_port)
    try:
        yield line
    finally:
        line.end()
