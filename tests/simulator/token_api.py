"""The OAuth2 token endpoint: client credentials, and nothing else."""

from urllib.parse import parse_qsl

from starlette.routing import Route

from tests.simulator.auth import AccessTokens, Authenticator
from tests.simulator.gateway import ApiAnswer, Gateway, IncomingRequest, RefusedRequest
from tests.simulator.settings import Auth

PATH = "/api/v1/oauth2/token"


class TokenApi:
    """The shape of its errors is undocumented: clients treat all that is not 2xx as failure."""

    auth: Auth | None = None

    def __init__(self, tokens: AccessTokens, authenticator: Authenticator) -> None:
        self._tokens = tokens
        self._authenticator = authenticator

    def routes(self, gateway: Gateway) -> list[Route]:
        return [gateway.route(self, "POST", PATH, "token", self._token)]

    def error(self, status: int, message: str) -> ApiAnswer:
        return ApiAnswer(status, {"error": message})

    def _token(self, inquiry: IncomingRequest) -> ApiAnswer:
        if not self._authenticator.is_client(inquiry.authorization):
            raise RefusedRequest(401, "invalid_client")
        if inquiry.content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise RefusedRequest(415, f"content type {inquiry.content_type!r} is no form", complaint=True)
        form = parse_qsl(inquiry.body.decode(errors="replace"), keep_blank_values=True)
        if form != [("grant_type", "client_credentials")]:
            raise RefusedRequest(400, "grant_type=client_credentials and nothing else", complaint=True)
        return ApiAnswer(
            200,
            {
                "access_token": self._tokens.issue(),
                "expires_in": self._tokens.lifetime,
                "token_type": "bearer",
            },
        )
