"""What the description of the API says, taken from the same attributes that the views go by."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from integrations.api.idempotency import MAX_KEY_LENGTH
from integrations.api.problems import CONTENT_TYPE, PROBLEMS
from integrations.oauth.scopes import SCOPES

_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": r"^[!-~]+$"},
    OpenApiParameter.HEADER,
    description=(
        "Any text of yours, new for each write. The same one again within 24 hours is answered "
        "as before, and nothing is done twice."
    ),
)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of what you saw. If it is not so any more, nothing is changed.",
)


class Schema(AutoSchema):
    """Reads `query`, `bodies` and `answers` of an `ApiView`."""

    def get_override_parameters(self) -> list[Any]:
        if self.method == "GET":
            query = getattr(self.view, "query", None)
            return [query] if query and query().fields else []
        parameters = [_IDEMPOTENCY_KEY] if getattr(self.view, "keeps_answers", False) else []
        if self.method in getattr(self.view, "matched_methods", ()):
            parameters.append(_IF_MATCH)
        return parameters

    def get_request_serializer(self) -> Any:
        return getattr(self.view, "bodies", {}).get(self.method)

    def get_response_serializers(self) -> Any:
        answer = getattr(self.view, "answers", {}).get(self.method)
        return {getattr(self.view, "success_status", 200): answer}

    def get_operation_id(self) -> str:
        """By the view's name, which says more than the address."""
        name = type(self.view).__name__
        return f"{self.method.lower()}{name}"


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "integrations.api.authentication.BearerAuthentication"
    name = ["oauth2", "appLogin"]

    def get_security_definition(self, auto_schema: AutoSchema) -> Any:
        scopes = {scope: str(told) for scope, told in SCOPES.items()}
        ends = {"tokenUrl": "/oauth/token/", "refreshUrl": "/oauth/token/", "scopes": scopes}
        return [
            {
                "type": "oauth2",
                "flows": {
                    "clientCredentials": ends,
                    "authorizationCode": {**ends, "authorizationUrl": "/oauth/authorize/"},
                },
            },
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> Any:
        view: Any = auto_schema.view
        reads = auto_schema.method == "GET"
        scope = view.read_scope if reads else view.write_scope
        return [{"oauth2": [scope] if scope else []}, {"appLogin": []}]


class StrictExtension(OpenApiSerializerExtension):
    """Says that nothing else may be sent."""

    target_class = "integrations.api.serializers.Strict"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Any:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


#: Errors that any address may answer with. The others are added where they can happen.
_ANYWHERE = ("400", "401", "403", "404", "405", "406", "429", "500")
_ON_WRITES = ("409", "412", "413", "415", "422")


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> Any:
    """Describe errors once, and refer to them from each operation."""
    schemas = result["components"].setdefault("schemas", {})
    schemas |= {"Problem": _problem_schema(), "ProblemError": _error_schema()}
    for path in result["paths"].values():
        for method, operation in path.items():
            for status in _ANYWHERE + (() if method == "get" else _ON_WRITES):
                operation["responses"].setdefault(status, _problem_answer(status))
            operation["responses"].setdefault("422", _problem_answer("422"))
            if operation["operationId"] == "getEvents":
                operation["responses"]["410"] = _problem_answer("410")
            if method == "get" and "200" in operation["responses"]:
                operation["responses"]["304"] = {"description": "It is as you know it."}
    return result


def _problem_answer(status: str) -> dict[str, Any]:
    titles = [str(title) for number, title in PROBLEMS.values() if str(number) == status]
    return {
        "description": ". ".join(titles),
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "An error (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "code": {**text, "enum": list(PROBLEMS)},
            "detail": {**text, "description": "A sentence that says what to do."},
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/ProblemError"}},
        },
    }


def _error_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {
            "pointer": {**text, "description": "Where in the body (RFC 6901)."},
            "parameter": {**text, "description": "Which part of the address."},
            "row": {"type": "integer", "description": "Which row of a list, from 0."},
            "column": text,
            "code": text,
            "detail": text,
        },
    }
