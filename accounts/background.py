"""Work that a server process does beside its requests."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable

END_TIMEOUT_S = 10


def run_beside_requests(
    work_until: Callable[[threading.Event], None],
    *,
    name: str,
    wake: threading.Event | None = None,
) -> None:
    """Run a loop in a thread of this process, which ends it by an event and waits for it.

    ``wake`` is what the loop waits on between two rounds, where that is not the event itself.
    """
    ending = threading.Event()
    thread = threading.Thread(target=work_until, args=(ending,), daemon=True, name=name)
    thread.start()

    def let_it_finish() -> None:
        ending.set()
        if wake is not None:
            wake.set()
        thread.join(timeout=END_TIMEOUT_S)

    atexit.register(let_it_finish)
