"""deploy/nginx.conf, read by nginx and run by it; in the replicas' place is a server that tells what came."""

import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from deploy.check.public import INSIDE, PUBLIC, addresses
from deploy.check.running import DEPLOY, ROOT, Failed, command
from deploy.check.tools import debian

_READY: Final = 10.0
_LARGEST: Final = 64 * 1024
_TRICKS: Final = (
    "/",
    "/callbacks/../metrics",
    "/callbacks/%2e%2e/metrics",
    "/join/..%2fmetrics",
    "//metrics",
    "/assets/../api/v1/calls",
)
"""Other ways to write what is inside."""
_FOLDED: Final = {
    "/api/v1/..%2f..%2fcallbacks/voice": "/callbacks/voice",
    "/metrics/%2e%2e/callbacks/voice": "/callbacks/voice",
    "/join/a/..%2f..%2f/assets/a-1": "/assets/a-1",
    "/join/b/../a-1/visit?invitation=x%2fy": "/join/a-1/visit?invitation=x%2fy",
    "/join/a%20b%3f%23%25": "/join/a%20b%3F%23%25",
}
"""Other ways to write what is public, and what of them may get through: what nginx has looked up."""
_EVENT: Final = b": here\n\n"


def configuration() -> str:
    with tempfile.TemporaryDirectory(prefix="check-nginx-") as name:
        command(*_nginx(Path(name), port=443, replica=8081, other=8082), "-t")
    return "nginx -t"


def paths() -> str:
    """What docs/edge.md calls public gets through to the one replica that lives, and nothing else does."""
    edge = (ROOT / "docs/edge.md").read_text()
    public, inside = addresses(edge, PUBLIC), addresses(edge, INSIDE)
    with (
        tempfile.TemporaryDirectory(prefix="check-nginx-") as name,
        _replica() as replica,
        _proxy(Path(name), replica.server_port) as port,
    ):
        for method, path in public:
            _expect(port, method, path, 200)
        for method, path in (*inside, *(("GET", trick) for trick in _TRICKS)):
            _expect(port, method, path, 404)
        if set(replica.seen) != set(public):
            raise Failed(f"the replica was asked for {sorted(set(replica.seen) - set(public))}")
        for path, folded in _FOLDED.items():
            _expect(port, "GET", path, 200)
            if replica.seen[-1] != ("GET", folded):
                raise Failed(f"{path} was passed on as {replica.seen[-1][1]}, and not as {folded}")
        _expect(port, "POST", "/callbacks/voice", 413, b"x" * (_LARGEST + 1))
        _streams(port, replica)
    others = len(inside) + len(_TRICKS)
    return (
        f"{len(public)} public ones pass as they were looked up, {others} others do not, events pass at once"
    )


class _Replica(ThreadingHTTPServer):
    """Answers everything, and remembers what. A stream goes on only when its beginning has arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str]] = []
        self.arrived = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Replica
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path))
        self.send_response(200)
        if self.path != "/join/stream/events":
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.close_connection = True
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(_EVENT)
        self.wfile.flush()
        self.server.arrived.wait(_READY)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Nothing: what came is in `seen`."""


@contextmanager
def _replica() -> Iterator[_Replica]:
    with _Replica() as replica:
        thread = threading.Thread(target=replica.serve_forever, daemon=True)
        thread.start()
        try:
            yield replica
        finally:
            replica.arrived.set()
            replica.shutdown()
            thread.join()


@contextmanager
def _proxy(folder: Path, replica: int) -> Iterator[int]:
    """Runs nginx on a free port; nobody listens where it looks for the other replica."""
    port, other = _free_port(), _free_port()
    words = [str(word) for word in _nginx(folder, port=port, replica=replica, other=other)]
    words[-1] += " daemon off; master_process off;"
    log = folder / "said"
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output)  # noqa: S603 - the words of this check
    try:
        ends = time.monotonic() + _READY
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > ends:
                raise Failed(f"nginx does not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(_READY)


def _nginx(folder: Path, *, port: int, replica: int, other: int) -> list[str | Path]:
    """The command, with a certificate of its own, and loopback for the names of replicas."""
    tool = debian("nginx", "nginx")
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    subject = ("-days", "1", "-subj", "/CN=bridge.example.com")
    command(debian("openssl", "openssl"), "req", "-x509", *key, *subject)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in {
        "/etc/ssl/bridge/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
        "server bridge-a:8081": f"server 127.0.0.1:{replica}",
        "server bridge-b:8082": f"server 127.0.0.1:{other}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        # Its own are made by the package, which may be unpacked only.
        "http {": " ".join(["http {", *(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)]),
    }.items():
        if old not in text:
            raise Failed(f"nginx.conf has no {old!r}, which this check replaces")
        text = text.replace(old, new)
    file = folder / "nginx.conf"
    file.write_text(text)
    return [tool, "-p", folder, "-e", "stderr", "-c", file, "-g", f"pid {folder}/pid; error_log stderr;"]


def _expect(port: int, method: str, path: str, status: int, body: bytes = b"") -> None:
    connection = _connection(port)
    try:
        connection.request(method, path, body)
        found = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise Failed(f"{method} {path}: {error!r}") from None
    finally:
        connection.close()
    if found != status:
        raise Failed(f"{method} {path} answers {found}, and not {status}")


def _streams(port: int, replica: _Replica) -> None:
    """The beginning arrives while the replica waits for just that."""
    connection = _connection(port)
    try:
        connection.request("GET", "/join/stream/events")
        read = connection.getresponse().read(len(_EVENT))
    except (OSError, HTTPException) as error:
        raise Failed(f"an event stream does not arrive: {error!r}") from None
    finally:
        waits = not replica.arrived.is_set()
        replica.arrived.set()
        connection.close()
    if not waits or read != _EVENT:
        raise Failed("an event stream is held back")


def _connection(port: int) -> HTTPSConnection:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the certificate is this check's own
    return HTTPSConnection("127.0.0.1", port, timeout=_READY / 2, context=context)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
