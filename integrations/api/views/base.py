"""What every view of the API does alike."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from accounts.models import User
from integrations.api.caller import Caller
from integrations.api.etags import etag_of, is_known
from integrations.api.idempotency import answer_once
from integrations.api.pagination import page_of
from integrations.api.problems import Problem, checked, not_found, too_large
from integrations.api.serializers import PageQuery, Query

WRITES = ("post", "put", "patch", "delete")


def _once(write: Callable[..., Response]) -> Callable[..., Response]:
    @functools.wraps(write)
    def written(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> Response:
        return answer_once(request, lambda: write(view, request, *args, **kwargs))

    return written


class ApiView(APIView):
    """Scopes and permissions by attribute; unknown parameters refused; answers with an ETag.

    Every write takes an `Idempotency-Key`: it is wrapped where it is defined, so that none can be
    forgotten.
    """

    read_scope: ClassVar[str] = ""
    write_scope: ClassVar[str] = ""
    read_permission: ClassVar[str] = ""
    write_permission: ClassVar[str] = ""
    query: ClassVar[type[Serializer]] = Query
    bodies: ClassVar[dict[str, type[Serializer]]] = {}
    answers: ClassVar[dict[str, type[Serializer]]] = {}
    #: Methods that look at `If-Match`.
    matched_methods: ClassVar[tuple[str, ...]] = ()
    keeps_answers = True
    success_status = 200
    http_method_names = ["get", "head", *WRITES]
    versioning_class = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method in WRITES:
            if cls.keeps_answers and method in cls.__dict__:
                setattr(cls, method, _once(cls.__dict__[method]))

    def is_for(self, user: User) -> bool:
        """Whether somebody without the permission may use the view all the same."""
        return False

    @property
    def user(self) -> User:
        return cast(User, self.request.user)

    @property
    def caller(self) -> Caller:
        return cast(Caller, self.request.auth)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))  # whatever else is wrong with it
        _check_size(request)
        query = self.query if request.method in ("GET", "HEAD") else Query
        self.asked = checked(query(data=request.query_params.dict()), source="parameter")
        self.at = timezone.now()

    def sent(self) -> Any:
        """The body, once it is as described."""
        body = self.bodies[str(self.request.method)]
        return checked(body(data=self.request.data), source="pointer")

    def shown(self, serializer: type[Serializer], row: Any, *, many: bool = False) -> Any:
        return serializer(row, many=many, context={"at": self.at}).data

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Cache-Control"] = "private, no-cache"
        patch_vary_headers(response, ["Authorization"])
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        return _tagged(request, response)


def _check_size(request: Request) -> None:
    """Before anything of the body is read."""
    if "Transfer-Encoding" in request.headers:
        # REST framework takes a body of unknown size for none, and would change nothing.
        raise Problem("invalid_request", _("Send the header Content-Length, not chunks."))
    if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise too_large()


def _tagged(request: Request, response: Any) -> Any:
    """With its ETag, or only that where the client has the rest already."""
    response.render()
    etag = etag_of(response.content)
    if is_known(request, etag):
        unchanged = HttpResponse(status=304)
        for name in ("Cache-Control", "Vary"):
            unchanged.headers[name] = response.headers[name]
        response = unchanged
    response.headers["ETag"] = etag
    return response


class CollectionView(ApiView):
    """Rows page by page."""

    query = PageQuery
    row: ClassVar[type[Serializer]]

    def rows(self) -> QuerySet[Any]:
        """What this user may see of what was asked for."""
        raise NotImplementedError

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = page_of(self.rows(), cursor=self.asked.get("cursor", ""), limit=self.asked["limit"])
        return Response(
            {
                "results": self.shown(self.row, page.rows, many=True),
                "next": self._address_of(page.next_cursor),
                "next_cursor": page.next_cursor,
            }
        )

    def _address_of(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        asked = self.request.query_params.copy()
        asked["cursor"] = cursor
        return self.request.build_absolute_uri(f"{self.request.path}?{asked.urlencode()}")


def one_of(rows: QuerySet[Any], **lookup: Any) -> Any:
    """The row, if this user may see it.

    Raises:
        Problem: there is none; which does not say whether there is one for others.
    """
    found = rows.filter(**lookup).first()
    if found is None:
        raise not_found()
    return found
