"""How far a page of calls looks, against an index of calls that never were."""

import json
from itertools import chain
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from handlers.api.calls import list_calls
from handlers.http.context import RequestContext
from handlers.http.services import Services
from service.calls.model import Call, Direction, Phone
from service.store.call_index import CallPage, CallPosition


class Index:
    """`recent` of so many calls; those whose number `every` divides are outbound."""

    def __init__(self, count: int, every: int = 1) -> None:
        self.looked = 0
        self.calls = [
            Call(
                ref="p00-" + str(number).rjust(20, "a").translate(str.maketrans("0123456789", "bcdefghijk")),
                call_id=f"c-{number}",
                direction=Direction.INBOUND if number % every else Direction.OUTBOUND,
                room="sales",
                created_at=float(count - number),
                phone=Phone.UP,
            )
            for number in range(count)
        ]

    async def list_recent(
        self, *, before: CallPosition | None, since: float | None, until: float | None, limit: int
    ) -> CallPage:
        begin = 0 if before is None else 1 + [call.created_at for call in self.calls].index(before[0])
        page = self.calls[begin : begin + limit]
        self.looked += len(page)
        more = begin + limit < len(self.calls)
        return CallPage(page, (page[-1].created_at, page[-1].ref) if more else None)


async def page(index: Index, **query: str) -> dict[str, Any]:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    request = Request({"type": "http", "headers": [], "query_string": text.encode()})
    bridge = cast("Services", SimpleNamespace(calls=index))
    answer = await list_calls(RequestContext(request=request, services=bridge))
    found: dict[str, Any] = json.loads(bytes(answer.body))
    return found


async def pages(index: Index, **query: str) -> list[list[str]]:
    """All pages, to the end."""
    found = []
    while True:
        body = await page(index, **query)
        found.append([call["callId"] for call in body["calls"]])
        if body["next"] is None:
            return found
        query["cursor"] = body["next"]


async def test_without_a_filter_no_more_is_read_than_shown() -> None:
    index = Index(500)
    assert len((await page(index, limit="20"))["calls"]) == 20
    assert index.looked == 20


async def test_a_page_is_filled_from_further_back() -> None:
    found = await pages(Index(1000, every=30), direction="outbound", limit="10")
    assert [len(one) for one in found] == [10, 10, 10, 4]
    assert list(chain(*found)) == [f"c-{number}" for number in range(0, 1000, 30)]


@pytest.mark.parametrize("every", [1, 2, 3, 7, 199, 200, 201])
async def test_nothing_is_left_out_or_told_twice(every: int) -> None:
    for limit in ("1", "7", "200"):
        found = await pages(Index(450, every=every), direction="outbound", limit=limit)
        assert list(chain(*found)) == [f"c-{number}" for number in range(0, 450, every)]


async def test_a_page_looks_at_two_thousand_calls_at_most() -> None:
    index = Index(5000, every=4900)
    first = await page(index, direction="outbound", limit="10")
    assert ([call["callId"] for call in first["calls"]], index.looked) == (["c-0"], 2000)
    found = await pages(index, direction="outbound", limit="10", cursor=first["next"])
    assert found == [[], ["c-4900"]]
