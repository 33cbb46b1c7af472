"""Appeals in the list of the own attendance."""

from __future__ import annotations

from collections.abc import Mapping

from django import template

from checkin.appeals.models import Appeal

register = template.Library()


@register.filter
def of_session(appeals: Mapping[int, Appeal], session_pk: int) -> Appeal | None:
    """The appeal on this session, if there is one."""
    return appeals.get(session_pk)
