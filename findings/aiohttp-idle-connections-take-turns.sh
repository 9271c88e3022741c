#!/usr/bin/env bash
# aiohttp 3.14.5 (beside httpx 0.28.1): after a burst, single requests go round all idle connections, oldest first.
#
# aiohttp's pool hands out the connection that has been idle longest. One burst of four opens four connections, and
# from then on requests that come one after the other use each of the four in turn. So none of them is ever idle for
# long enough to be closed, the pool never shrinks to what is needed, and a request often meets the connection that is
# coldest (its congestion window reset, its path through a NAT forgotten). httpx hands out one and the same.
#
# Seen (which connection carried each of eight requests):
#   aiohttp 0 1 2 3 0 1 2 3
#   httpx   0 0 0 0 0 0 0 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 httpx==0.28.1
cat > "$folder/try.py" <<'PY'
import asyncio

import aiohttp
import httpx


async def carried(get_with):
    connections, used = [], []

    async def serve(reader, writer):
        number = len(connections)
        connections.append(writer)
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            used.append(number)
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await get_with(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", used)
    await asyncio.sleep(0.1)
    server.close()
    return " ".join(map(str, used))


async def eight(get, used):
    await asyncio.gather(*(get() for _ in range(4)))
    used.clear()
    for _ in range(8):
        await get()


async def by_aiohttp(url, used):
    async with aiohttp.ClientSession() as client:

        async def get():
            async with client.get(url) as response:
                await response.read()

        await eight(get, used)


async def by_httpx(url, used):
    async with httpx.AsyncClient() as client:
        await eight(lambda: client.get(url), used)


async def main():
    print("aiohttp", await carried(by_aiohttp))
    print("httpx  ", await carried(by_httpx))


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
aiohttp 0 1 2 3 0 1 2 3
httpx   0 0 0 0 0 0 0 0
SEEN
