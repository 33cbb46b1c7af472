"""Sealing anew, under the first of `TEMPLATE_KEYS`, whatever an older key sealed.

No list of sealed columns is kept, for such a list is forgotten: every column that can hold a token
of Fernet is looked through, of every model. What is a token and opens is sealed anew.

While it runs, everything else may. A batch is one transaction over locked rows, only the sealed
column is written, and other processes open both keys. One that still seals with an old key is
found by the last look, which nothing escapes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts.keyring import keyring

#: Version 0x80 and the highest bytes of a time before the year 2106, in Base64.
TOKEN_START = "gAAAAA"  # noqa: S105 -- no secret
#: Of one empty block.
SHORTEST_TOKEN = 100
BATCH_ROWS = 50

#: Older than the first key; nobody's; see `_key_of`.
OLD, UNREADABLE, NEW = "old", "unreadable", "new"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of one table that can hold sealed values."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.name}"

    @property
    def kind(self) -> models.Field[Any, Any]:
        return self.model._meta.get_field(self.name)  # type: ignore[return-value]

    def rows(self) -> QuerySet[Any]:
        """Those that may hold something sealed; of binary columns all that hold anything."""
        every = self.model._base_manager.all()
        if isinstance(self.kind, models.BinaryField):
            return every.exclude(Q(**{self.name: b""}) | Q(**{f"{self.name}__isnull": True}))
        if isinstance(self.kind, models.JSONField):
            as_text = every.annotate(sealed_as_text=Cast(F(self.name), TextField()))
            return as_text.filter(sealed_as_text__contains=TOKEN_START)
        return every.filter(**{f"{self.name}__startswith": TOKEN_START})


@dataclass
class Found:
    """Values of one column, by the key that opens them."""

    column: Column
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def old(self) -> int:
        return self.counts[OLD]

    @property
    def unreadable(self) -> int:
        return self.counts[UNREADABLE]


def columns() -> list[Column]:
    """Every column in which a token of Fernet has room."""
    return [
        Column(model, one.name)
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
        for one in model._meta.local_concrete_fields
        if _has_room(one)
    ]


def look() -> Iterator[Found]:
    """What is sealed with which key, column by column. Changes nothing."""
    for column in columns():
        found = Found(column)
        for value in column.rows().values_list(column.name, flat=True).iterator(BATCH_ROWS):
            found.counts.update(_key_of(token) for token in _tokens_in(column, value))
        if found.counts.total():
            yield found


def rotate(*, each_batch: Callable[[Column, int], None] = lambda column, count: None) -> int:
    """Seal anew what an older key sealed; returns how many rows that were.

    May be ended at any time: what was sealed anew is not touched again by the next run.
    """
    return sum(_rotate_column(column, each_batch) for column in columns())


def _rotate_column(column: Column, each_batch: Callable[[Column, int], None]) -> int:
    rotated = 0
    for pks in _batches(column):
        count = _rotate_rows(column, pks)
        rotated += count
        if count:
            each_batch(column, count)
    return rotated


def _batches(column: Column) -> Iterator[list[Any]]:
    pks = iter(list(column.rows().order_by("pk").values_list("pk", flat=True)))
    while batch := list(islice(pks, BATCH_ROWS)):
        yield batch


@transaction.atomic
def _rotate_rows(column: Column, pks: list[Any]) -> int:
    """Other columns of the rows are not read and not written, and no time of change is set."""
    locked = column.model._base_manager.select_for_update().filter(pk__in=pks).order_by("pk")
    rotated = 0
    for pk, value in list(locked.values_list("pk", column.name)):
        anew = _sealed_anew(column, value)
        if anew is not None:
            column.model._base_manager.filter(pk=pk).update(**{column.name: anew})
            rotated += 1
    return rotated


def _sealed_anew(column: Column, value: Any) -> Any:
    """The value with every old token replaced; None if there is none."""
    if not any(_key_of(token) == OLD for token in _tokens_in(column, value)):
        return None
    if isinstance(column.kind, models.JSONField):
        return _replaced(value)
    anew = keyring().rotate(_as_bytes(value))
    return anew if isinstance(column.kind, models.BinaryField) else anew.decode()


def _replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner) for inner in value]
    if isinstance(value, str) and value.startswith(TOKEN_START) and _key_of(value) == OLD:
        return keyring().rotate(value.encode()).decode()
    return value


def _tokens_in(column: Column, value: Any) -> Iterator[bytes | str]:
    if isinstance(column.kind, models.JSONField):
        yield from _tokens_in_json(value)
    elif value is not None and _as_bytes(value).startswith(TOKEN_START.encode()):
        yield _as_bytes(value)


def _tokens_in_json(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _tokens_in_json(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _tokens_in_json(inner)
    elif isinstance(value, str) and value.startswith(TOKEN_START):
        yield value


def _key_of(token: bytes | str) -> str:
    """Which key opens it: the first, an older one, or none."""
    sealed = _as_bytes(token)
    try:
        Fernet(settings.TEMPLATE_KEYS[0]).decrypt(sealed)
    except InvalidToken:
        pass
    else:
        return NEW
    try:
        keyring().decrypt(sealed)
    except InvalidToken:
        return UNREADABLE
    return OLD


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _has_room(one: models.Field[Any, Any]) -> bool:
    if isinstance(one, models.BinaryField | models.TextField | models.JSONField):
        return True
    return isinstance(one, models.CharField) and (one.max_length or SHORTEST_TOKEN) >= (
        SHORTEST_TOKEN
    )
