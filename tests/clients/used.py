"""Runs in .venv-clients, beside the package `bridge` that openapi-python-client has written.

Prints what each answer was parsed into, a line of JSON for each.
"""

import json
import sys
from typing import Any

from bridge import AuthenticatedClient  # type: ignore[import-not-found]
from bridge.api.calls import place_call, transfer_call  # type: ignore[import-not-found]
from bridge.models import NewCall, Transfer  # type: ignore[import-not-found]


def main(url: str, key: str, callee: str) -> None:
    client = AuthenticatedClient(base_url=url, token=key)

    def place(idempotency_key: str, **body: Any) -> Any:
        return tell(place_call.sync_detailed, body=NewCall(**body), idempotency_key=idempotency_key)

    def tell(ask: Any, *arguments: Any, **words: Any) -> Any:
        answer = ask(*arguments, client=client, **words)
        told = {"status": answer.status_code, "parsed": type(answer.parsed).__name__}
        print(json.dumps(told | answer.parsed.to_dict()))
        return answer.parsed

    call = place("one", to=callee, room="sales")
    place("one", to=callee, room="support")
    place("two", to="+19005550100", room="sales")
    place("three", to=callee, room="not a name")
    tell(transfer_call.sync_detailed, call.id, body=Transfer(to="+19005550100"))


if __name__ == "__main__":
    main(*sys.argv[1:])
