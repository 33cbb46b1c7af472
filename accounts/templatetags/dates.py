"""Dates in words. What comes first, the month or the day, is the language's own business."""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.template.defaultfilters import date as date_filter
from django.utils.translation import pgettext_lazy

register = template.Library()

FORMATS = {
    "weekday": pgettext_lazy("date format", "l j F"),
    "weekday_year": pgettext_lazy("date format", "l, j F Y"),
    "weekday_time": pgettext_lazy("date format", "l j F Y, H:i"),
    "short": pgettext_lazy("date format", "D j M"),
    "short_time": pgettext_lazy("date format", "D j M, H:i"),
    "short_year_time": pgettext_lazy("date format", "D j M Y, H:i"),
    "year_time": pgettext_lazy("date format", "j M Y, H:i"),
}


@register.filter(expects_localtime=True)
def in_words(moment: datetime | date | None, name: str) -> str:
    """A day, with its time where the format has one, like “Sat 28 Nov” for `short`."""
    return date_filter(moment, str(FORMATS[name]))
