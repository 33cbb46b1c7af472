"""What the lists of the desk may be asked for in the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

if TYPE_CHECKING:
    Base = ModelAdmin
else:
    Base = object

#: No key of a row is longer, and a database does not take a longer one.
MAX_KEY_DIGITS = 18


class OfferedLookupsOnly(Base):
    """A list is narrowed by the filters that it shows, and its actions take rows that it shows.

    Django's own rule lets every column be asked for, also one that is not shown: a hash, an
    encrypted vector, a student's other courses.
    """

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        offered = [*map(_parameter_of, self.get_list_filter(request)), self.date_hierarchy]
        if not any(lookup == path or lookup.startswith(f"{path}__") for path in offered if path):
            return False
        return super().lookup_allowed(lookup, value, request)

    def response_action(  # type: ignore[override]  # the stubs are of a later Django
        self, request: HttpRequest, queryset: QuerySet
    ) -> HttpResponse | None:
        keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if all(key.isdecimal() and len(key) <= MAX_KEY_DIGITS for key in keys):
            return super().response_action(request, queryset)
        self.message_user(request, _("Choose rows of this list."), messages.ERROR)
        return None


def _parameter_of(entry: Any) -> str:
    """The name in the address of one entry of ``list_filter``."""
    if isinstance(entry, list | tuple):
        return str(entry[0])
    return str(getattr(entry, "parameter_name", entry))
