#!/usr/bin/env bash
# httpx-aiohttp 0.2.0 (httpx 0.28.1, aiohttp 3.14.5): a POST that the server has received is reported as ConnectTimeout.
#
# httpx promises that ConnectTimeout means "no connection": a client that retries only such failures repeats nothing.
# Under the transport of httpx-aiohttp a server that reads the whole request and then closes or resets the connection
# raises ConnectTimeout too, at once and without any time-out having passed. httpx's own transport says
# RemoteProtocolError. Whoever retries connect errors of a request that must not be repeated (a phone call, a payment)
# sends it twice.
#
# Seen:
#   closed   httpx RemoteProtocolError, httpx-aiohttp ConnectTimeout, requests that the server read: 1 and 1
#   reset    httpx RemoteProtocolError, httpx-aiohttp ConnectTimeout, requests that the server read: 1 and 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1 httpx-aiohttp==0.2.0 aiohttp==3.14.5
cat > "$folder/try.py" <<'PY'
import asyncio
import time

import httpx
from httpx_aiohttp import AiohttpTransport


async def post(how, transport):
    read = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        read.append(head)
        writer.close() if how == "closed" else writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/calls"
    begun = time.monotonic()
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        try:
            await client.post(url, json={"to": "a phone"})
            said = "no error"
        except httpx.HTTPError as error:
            said = type(error).__name__
    server.close()
    assert time.monotonic() - begun < 5, "a time-out passed after all"
    return said, len(read)


async def main():
    for how in ("closed", "reset"):
        (own, first), (other, second) = await post(how, None), await post(how, AiohttpTransport())
        print(f"{how:8} httpx {own}, httpx-aiohttp {other}, requests that the server read: {first} and {second}")


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
closed   httpx RemoteProtocolError, httpx-aiohttp ConnectTimeout, requests that the server read: 1 and 1
reset    httpx RemoteProtocolError, httpx-aiohttp ConnectTimeout, requests that the server read: 1 and 1
SEEN
