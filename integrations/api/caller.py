"""Who calls the API."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise

from accounts.models import User


class InvalidTokenError(Exception):
    """A token that opens nothing; the text is for whoever wrote the client.

    It is lazy: the body of the answer has it in their language, the header in English.
    """

    def __init__(self, text: Promise) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, the client through which they come, and what the token is good for.

    ``key`` tells one client from another, for limits and kept answers.
    """

    user: User
    key: str
    scopes: frozenset[str]
    name: str
