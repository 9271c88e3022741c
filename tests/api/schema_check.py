"""Holds responses of the API against its own description."""

import json
import re
from functools import cache
from typing import Any, Final

import httpx
import jsonschema_rs

from handlers.api.document import DOCUMENT

DOC: Final[dict[str, Any]] = json.loads(DOCUMENT)
SCHEMAS: Final[dict[str, Any]] = DOC["components"]["schemas"]
METHODS: Final = ("get", "put", "post", "delete", "patch")


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """By method in capitals and path."""
    return {
        (method.upper(), path): item[method]
        for path, item in DOC["paths"].items()
        for method in METHODS
        if method in item
    }


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """What a `$ref` at this place leads to."""
    while "$ref" in node:
        reference: str = node["$ref"]
        node = DOC
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
    return node


def check(schema: dict[str, Any], value: object) -> None:
    """Raises jsonschema_rs.ValidationError."""
    _validator(json.dumps(schema)).validate(value)


def check_response(response: httpx.Response) -> None:
    """The document has this status for this operation, with this content, these headers and this shape."""
    request = response.request
    found = _operation(request.method, request.url.path)
    if found is None:
        assert response.status_code in {404, 405}, response
        _check_problem(response)
        return
    described = resolved(found["responses"][str(response.status_code)])
    for name, header in described.get("headers", {}).items():
        _check_header(response, name, resolved(header))
    if "content" not in described:
        assert response.content == b""
        return
    type_ = response.headers["content-type"]
    schema = described["content"][type_]["schema"]
    if request.method != "HEAD" and type_ != "text/event-stream":
        check(schema, response.json())
    if response.is_error:
        _check_problem(response)


def _check_problem(response: httpx.Response) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    if response.request.method != "HEAD":
        check({"$ref": "#/components/schemas/Problem"}, response.json())
        assert response.json()["status"] == response.status_code


def _check_header(response: httpx.Response, name: str, header: dict[str, Any]) -> None:
    assert name in response.headers or not header.get("required")
    if name in response.headers:
        check(header["schema"], response.headers[name])


def _operation(method: str, path: str) -> dict[str, Any] | None:
    method = "GET" if method == "HEAD" else method
    for (described, template), operation in operations().items():
        pattern = re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(template))
        if described == method and re.fullmatch(pattern, path):
            return operation
    return None


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.Draft202012Validator(
        {**json.loads(schema), "components": DOC["components"]}, validate_formats=True
    )
