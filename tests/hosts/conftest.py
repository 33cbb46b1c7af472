from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts.stack import Stack, running_stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Started once for a module, as starting takes most of its time."""
    with running_stack() as running:
        yield running
