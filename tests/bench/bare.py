"""The least that a webhook can cost: a Starlette endpoint that gives the same BXML to everybody.

And the least that a request to Bandwidth can take from where the service is: `GET /trips/PORT/COUNT` sends so
many to the stub there, one after the other, and gives the milliseconds of each.
"""

import sys
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.bench.fast_http import FastClient

_BXML = b'<?xml version="1.0" encoding="UTF-8"?><Response><Pause duration="30"/></Response>'


async def _answer(request: Request) -> Response:
    await request.body()
    return Response(_BXML, media_type="application/xml")


async def _trips(request: Request) -> Response:
    client, times = FastClient(request.path_params["port"]), []
    for _ in range(request.path_params["count"]):
        begun = time.perf_counter()
        await client.send("POST", "/v1/accounts/9900000/participants", b"{}")
        times.append(1000 * (time.perf_counter() - begun))
    client.close()
    return JSONResponse(times)


if __name__ == "__main__":
    app = Starlette(
        routes=[
            Route("/trips/{port:int}/{count:int}", _trips),
            Route("/{path:path}", _answer, methods=["GET", "POST"]),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
