"""Delivery of webhooks: credentials, timeouts, retries, fallbacks; and what tests may do to them."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from tests.simulator.background import Background
from tests.simulator.clock import monotonic
from tests.simulator.faults import Gates
from tests.simulator.journal import Delivery, Journal

TIMED_OUT = "timeout"
DROPPED = "dropped"
CHALLENGED = "challenged"


class Target(msgspec.Struct, frozen=True):
    """Where a webhook goes, and the Basic credentials it carries there."""

    url: str
    username: str | None = None
    password: str | None = None


class WebhookRequest(msgspec.Struct, frozen=True):
    """One event to deliver; `timeout` in seconds, not scaled."""

    event_type: str
    call_id: str
    payload: dict[str, Any]
    primary: Target
    fallback: Target | None
    timeout: float


class WebhookReply(msgspec.Struct, frozen=True):
    """What a synchronous webhook got, and the URL (as the service gave it) that answered."""

    url: str
    content_type: str
    body: bytes


class DeliveryFault(msgspec.Struct, frozen=True):
    """What becomes of one webhook on its way to one address; `delay` in seconds."""

    lost: bool = False
    delay: float = 0.0
    copies: int = 1


class FailedDelivery(msgspec.Struct, frozen=True):
    """A synchronous webhook that no address has answered, and what came of each try."""

    event_type: str
    call_id: str
    tries: list[Delivery]


class Undelivered(Exception):
    """A synchronous webhook failed, its fallback too or it has none."""


class Webhooks:
    """Test controls: `duplicate` and `drop` name event types, `delay` gives seconds before sending.

    `delivery_fault` is asked about each try besides, by event type and URL.
    """

    def __init__(self, journal: Journal, gates: Gates, background: Background) -> None:
        self.duplicate: set[str] = set()
        self.drop: set[str] = set()
        self.delay: dict[str, float] = {}
        self.delivery_fault: Callable[[str, str], DeliveryFault] = lambda _event_type, _url: DeliveryFault()
        self.failed: list[FailedDelivery] = []
        self.lost: list[Delivery] = []
        """Those that got lost on their way: they are not in the journal."""
        self.challenge_first = False
        self._journal = journal
        self._gates = gates
        self._background = background
        self._origins: dict[str, Iterator[str]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # Connections are given up before a server with uvicorn's 5 s keep-alive closes them under a POST.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    def map_origin(self, origin: str, *targets: str) -> None:
        """Send what goes to `origin` to `targets` instead, in turn, as a proxy that ends TLS would.

        Without targets it is sent as it is, and the origin is trusted with credentials.
        """
        to = [target.rstrip("/") for target in targets] or [origin.rstrip("/")]
        self._origins[origin.rstrip("/")] = itertools.cycle(to)

    def may_send_credentials(self, url: str) -> bool:
        """Https, or an origin that is mapped: that one stands behind a TLS terminator."""
        return urlsplit(url).scheme == "https" or _origin(url) in self._origins

    async def deliver_synchronously(self, hook: WebhookRequest) -> WebhookReply:
        """Deliver a synchronous webhook. One that is on its way stays so, whatever happens to who asks."""
        tries: list[Delivery] = []
        for target in (hook.primary, hook.fallback):
            if target is None:
                continue
            delivery = await self._copies(hook, target)
            tries.append(delivery)
            if _succeeded(delivery):
                await self._gates.pass_through(f"reply:{hook.event_type}")
                return WebhookReply(target.url, delivery.content_type, delivery.reply)
        self.failed.append(FailedDelivery(hook.event_type, hook.call_id, tries))
        reason = tries[-1].error or f"status {tries[-1].status}"
        raise Undelivered(f"{hook.event_type} could not be delivered: {reason}")

    async def deliver(self, hook: WebhookRequest) -> None:
        """Deliver an asynchronous webhook: one more try, and only after a connection exception.

        Machine detection alone has a fallback; that it comes after the second try is assumed.
        """
        fate = self.delivery_fault(hook.event_type, hook.primary.url)
        copies = 2 if hook.event_type in self.duplicate else fate.copies
        await asyncio.gather(*(self._tell_once(hook, fate) for _ in range(copies)))

    async def repeat(self, delivery: Delivery) -> tuple[int, bytes]:
        """The same bytes once more to the same place, as a retry would bring them."""
        again = await self._post(delivery, credentials=delivery.username is not None)
        self._journal.delivered(again)
        if again.status is None:
            raise AssertionError(f"repeated {delivery.event_type} failed: {again.error}")
        return again.status, again.reply

    async def _copies(self, hook: WebhookRequest, target: Target) -> Delivery:
        """Of duplicates sent at the same time the one that comes back first counts."""
        fate = self.delivery_fault(hook.event_type, target.url)
        copies = [
            self._background.start(
                self._send(hook, target, fate, synchronous=True), name=f"webhook {hook.event_type}"
            )
            for _ in range(2 if hook.event_type in self.duplicate else fate.copies)
        ]
        done, _ = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        return next(copy.result() for copy in copies if copy in done)

    async def _tell_once(self, hook: WebhookRequest, fate: DeliveryFault) -> None:
        delivery = await self._send(hook, hook.primary, fate, synchronous=False)
        if delivery.status is None and delivery.error not in {TIMED_OUT, DROPPED}:
            delivery = await self._send(hook, hook.primary, fate, synchronous=False)
        if hook.fallback is not None and not _succeeded(delivery):
            await self._send(hook, hook.fallback, fate, synchronous=False)

    async def _send(
        self, hook: WebhookRequest, target: Target, fate: DeliveryFault, *, synchronous: bool
    ) -> Delivery:
        plan = _planned(hook, target, synchronous=synchronous)
        if fate.lost or hook.event_type in self.drop:
            sent_at = monotonic()
            if synchronous:
                await asyncio.sleep(hook.timeout)
            ms = (monotonic() - sent_at) * 1000
            self.lost.append(msgspec.structs.replace(plan, error=DROPPED, sent_at=sent_at, ms=ms))
            return self.lost[-1]
        await asyncio.sleep(self.delay.get(hook.event_type, fate.delay))
        await self._gates.pass_through(f"webhook:{hook.event_type}")
        delivery = await self._post(plan, credentials=not self.challenge_first, timeout=hook.timeout)
        self._journal.delivered(delivery)
        if self.challenge_first and delivery.error == CHALLENGED and target.username is not None:
            delivery = await self._post(plan, credentials=True, timeout=hook.timeout)
            self._journal.delivered(delivery)
        return delivery

    async def _post(self, plan: Delivery, *, credentials: bool, timeout: float = 15.0) -> Delivery:  # noqa: ASYNC109 - becomes a result
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "BandwidthAPI/2.0",
            # A proxy that ends TLS passes it on.
            "Host": urlsplit(plan.url).netloc,
        }
        if credentials and plan.username is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(plan.username, plan.password or "")
        sent_at = monotonic()
        status, content_type, reply, error = None, "", b"", None
        try:
            async with (
                asyncio.timeout(timeout),
                self._client.post(
                    self._mapped(plan.url), data=plan.body, headers=headers, allow_redirects=False
                ) as response,
            ):
                reply = await response.read()
                status = response.status
                content_type = response.headers.get("Content-Type", "")
                if status == 401 and response.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
                    error = CHALLENGED
        except TimeoutError:
            error = TIMED_OUT
        except (aiohttp.ClientError, OSError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        return msgspec.structs.replace(
            plan,
            status=status,
            content_type=content_type,
            reply=reply,
            error=error,
            sent_at=sent_at,
            ms=(monotonic() - sent_at) * 1000,
        )

    @property
    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the simulator has not been started")
        return self._session

    def _mapped(self, url: str) -> str:
        origin = _origin(url)
        targets = self._origins.get(origin)
        return url if targets is None else next(targets) + url[len(origin) :]


def _succeeded(delivery: Delivery) -> bool:
    """Which statuses count as failed is undocumented; assumed: everything that is not 2xx."""
    return delivery.status is not None and 200 <= delivery.status < 300


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _planned(hook: WebhookRequest, target: Target, *, synchronous: bool) -> Delivery:
    return Delivery(
        event_type=hook.event_type,
        call_id=hook.call_id,
        payload=hook.payload,
        url=target.url,
        body=msgspec.json.encode(hook.payload),
        username=target.username,
        password=target.password,
        status=None,
        ms=0.0,
        content_type="",
        reply=b"",
        error=None,
        sent_at=0.0,
        synchronous=synchronous,
    )
