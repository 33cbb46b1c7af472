"""Figures of recognition in templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def percent(share: float | None, digits: int = 2) -> str:
    """A share as people read it; a dash where there is none.

    >>> percent(0.0123), percent(0.001, 1), percent(None)
    ('1.23 %', '0.1 %', '–')
    """
    return "–" if share is None else f"{share * 100:.{digits}f} %"


@register.filter
def kinds_of_points(result: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The operating points of one gallery, without and with a cohort, under their headings."""
    kinds = [(_("Alone"), result["alone"])]
    if result["beside_cohort"]:
        heading = _("Beside a cohort of %(people)d") % {"people": result["cohort"]}
        kinds.append((heading, result["beside_cohort"]))
    return kinds
