"""Finds the API key of a request, and checks its scopes."""

from starlette.requests import Request

from handlers.http.problems import Problem
from handlers.http.request_guard import HEADER_LIMIT
from service.api_keys import ApiKey, find_key


def authenticate(request: Request, keys: tuple[ApiKey, ...]) -> ApiKey:
    """The key that is presented. Raises Problem `unauthorized`."""
    scheme, _, presented = request.headers.get("authorization", "")[:HEADER_LIMIT].partition(" ")
    key = find_key(keys, presented.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        # The challenge is what a 401 has to bring (RFC 9110).
        raise Problem(
            "unauthorized",
            "wants the header Authorization: Bearer, and one of the keys in API_KEYS",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return key


def require_scope(key: ApiKey, scope: str) -> None:
    """Raises Problem `forbidden` for a key without the scope."""
    if scope not in key.scopes:
        raise Problem("forbidden", f"the key {key.name} lacks the scope {scope}", scope=scope)
