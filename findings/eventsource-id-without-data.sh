#!/usr/bin/env bash
# eventsource 4.1.1 (npm, with eventsource-parser 3.1.1): an id that comes without data is forgotten.
#
# In the HTML standard (section 9.2.6) a block of nothing but `id:` moves the place on to which a client comes back; it
# only fires no event. eventsource hands on blocks with data alone, and takes its last id from those: after such a block
# it comes back with an older id, or with none. A server that sends ids as signs of life is asked for what the client has
# had already, or, before the first event, is not told that it had been there at all.
#
# Seen (a stream that sends a block, ends, and looks at the Last-Event-ID of the request that follows):
#   id with data: came back with "7"
#   id alone: came back with none
#   id alone after an event: came back with "7", not "8"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --no-audit --no-fund --ignore-scripts --loglevel=error eventsource@4.1.1 eventsource-parser@3.1.1 > npm.log
cat > try.mjs <<'JS'
import { createServer } from "node:http";
import { EventSource } from "eventsource";

const NONE = "none";

/** What the client comes back with after a stream with this text. */
function cameBackWith(text) {
  return new Promise((resolve) => {
    let requests = 0;
    let source;
    const server = createServer((request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      requests += 1;
      if (requests === 1) return response.end(`retry: 10\n\n${text}`);
      resolve(request.headers["last-event-id"] ?? NONE);
      source.close();
      response.end();
      server.closeAllConnections();
      server.close();
    });
    server.listen(0, "127.0.0.1", () => {
      source = new EventSource(`http://127.0.0.1:${server.address().port}/`);
    });
  });
}

const quoted = (id) => (id === NONE ? id : `"${id}"`);
const whole = await cameBackWith("id: 7\ndata: x\n\n");
const alone = await cameBackWith("id: 7\n\n");
const after = await cameBackWith("id: 7\ndata: x\n\nid: 8\n\n");
console.log(`id with data: came back with ${quoted(whole)}`);
console.log(`id alone: came back with ${quoted(alone)}`);
console.log(`id alone after an event: came back with ${quoted(after)}, not "8"`);
process.exit(whole === "7" && alone === NONE && after === "7" ? 0 : 1);
JS
if timeout 30 node try.mjs; then
  echo "as described: eventsource 4.1.1 forgets an id that comes without data"
else
  echo "changed: eventsource 4.1.1 does otherwise now" >&2
  exit 1
fi
