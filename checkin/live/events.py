"""The word that something has changed in a session.

It holds the session's id only. Whoever hears it reads again what they may see, so that a word
that is lost, comes twice or comes late does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)


def live_group(session_pk: int) -> str:
    return f"live.{session_pk}"


async def announce(session_pks: Iterable[int]) -> None:
    """Tell the open live pages of these sessions to look again.

    What goes wrong is only logged: the pages look by themselves every few seconds.
    """
    layer = get_channel_layer()
    for pk in session_pks:
        try:
            await layer.group_send(live_group(pk), {"type": "live.changed", "session": pk})
        except Exception:
            logger.exception("the live pages of session %s were not told", pk)


def announce_after_commit(session_pk: int) -> None:
    def tell() -> None:
        async_to_sync(announce)([session_pk])

    # What is committed stands, whether the pages can be told or not.
    transaction.on_commit(tell, robust=True)
