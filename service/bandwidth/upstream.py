# ruff: noqa: ASYNC109 - each request has its deadline, and it belongs to whoever asks
"""One of Bandwidth's APIs as the modules for its operations use it: where it is, who we are, how it fares."""

from service.bandwidth.circuit import Circuit
from service.bandwidth.http import Credentials, Http, Response
from service.bandwidth.wire import account_base


class Upstream:
    """Two APIs may share a host and still fail apart, so each has a circuit of its own."""

    def __init__(
        self, http: Http, base_url: str, account_id: str, credentials: Credentials, circuit: Circuit
    ) -> None:
        """`base_url`: with its version. Raises ValueError for an account id that is none."""
        self._http = http
        self.base = account_base(base_url, account_id)
        self._credentials = credentials
        self._circuit = circuit

    async def send(
        self,
        operation: str,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,
        attempt: int,
        *,
        fresh: bool = False,
    ) -> Response:
        """`path`: below the account, with its query. The rest as in `Http.send`."""
        return await self._http.send(
            operation,
            method,
            self.base + path,
            credentials=self._credentials,
            circuit=self._circuit,
            json=body,
            timeout=timeout,
            attempt=attempt,
            fresh=fresh,
        )
