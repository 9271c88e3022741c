#!/usr/bin/env bash
# redis 8.1.0 (asyncio): when two ask for the master at once while the first Sentinel does not answer, that one is lost.
#
# Sentinel.discover_master puts the Sentinel that has answered first in its list by exchanging two entries, whose places
# it took before it waited for the answer. Two callers do so one after the other with the same places: the second writes
# over what the first has put away. The list then has one Sentinel twice and another one not at all. When the one that
# is left out is the only one up, the master is "not found", although that Sentinel names it. Callers come together by
# themselves: each new connection of a pool asks.
#
# Seen (Sentinels by their places in the setting; the first is silent at first):
#   list at the start          0 1 2
#   after two asked at once    1 1 2
#   0 answers, 1 and 2 do not  MasterNotFoundError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
cat > "$folder/try.py" <<'PY'
import asyncio

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel

STATE = ["name", "m", "ip", "127.0.0.1", "port", "6379", "flags", "master", "num-other-sentinels", "2", "quorum", "2"]
silent = {0}


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


async def sentinel(number):
    async def serve(reader, writer):
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            if number in silent:
                continue
            if words[0] == "SENTINEL":
                writer.write(b"*1\r\n*%d\r\n" % len(STATE) + b"".join(map(bulk, STATE)))
            else:
                writer.write(b"+OK\r\n")
            await writer.drain()
        writer.close()

    async def served(reader, writer):
        try:
            await serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()  # the end of the script

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1]


async def main():
    ports = [await sentinel(number) for number in range(3)]
    options = {"socket_timeout": 0.5, "protocol": 2, "retry": None}
    asked = Sentinel([("127.0.0.1", port) for port in ports], sentinel_kwargs=options)

    def places():
        return " ".join(str(ports.index(one.connection_pool.connection_kwargs["port"])) for one in asked.sentinels)

    print("list at the start         ", places())
    await asyncio.gather(asked.discover_master("m"), asked.discover_master("m"))
    print("after two asked at once   ", places())
    silent.clear()
    silent.update({1, 2})
    try:
        print("0 answers, 1 and 2 do not ", await asked.discover_master("m"))
    except MasterNotFoundError as error:
        print("0 answers, 1 and 2 do not ", type(error).__name__)


asyncio.run(main())
PY
"$folder/venv/bin/python" "$folder/try.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
list at the start          0 1 2
after two asked at once    1 1 2
0 answers, 1 and 2 do not  MasterNotFoundError
SEEN
