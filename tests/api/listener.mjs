// Listens with npm's eventsource, once for each place at which its first connection breaks (tests/api/test_event_clients.py).
import { EventSource } from "../../handlers/page/node_modules/eventsource/dist/index.js";

const [, , url, key, cuts] = process.argv;
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

for (const cut of cuts.split(",")) {
  const headers = { Authorization: `Bearer ${key}`, "X-Cut": cut };
  const source = new EventSource(url, {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } }),
  });
  for (const kind of ["mark", "reset", "snapshot", "call"]) {
    source.addEventListener(kind, (event) => say({ cut, kind, data: JSON.parse(event.data) }));
  }
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) say({ cut, kind: "closed", data: {} });
  });
}
