"""The least that a webhook can cost: a Starlette endpoint that gives the same BXML to everybody."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_BXML = b'<?xml version="1.0" encoding="UTF-8"?><Response><Pause duration="30"/></Response>'


async def _answer(request: Request) -> Response:
    await request.body()
    return Response(_BXML, media_type="application/xml")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/{path:path}", _answer, methods=["GET", "POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
