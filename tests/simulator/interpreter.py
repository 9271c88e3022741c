"""Runs the BXML of a call or a leg, verb by verb (voice API, BXML execution rules)."""

import asyncio
from urllib.parse import urljoin

from tests.simulator import bxml
from tests.simulator.background import Background
from tests.simulator.calls import Call, CallEngine
from tests.simulator.clock import monotonic
from tests.simulator.events import build
from tests.simulator.journal import Journal
from tests.simulator.steps import Fetch, Over, fetch_of
from tests.simulator.transfers import Transfers
from tests.simulator.verbs import ON_TRANSFER_ANSWER, Document, Verb
from tests.simulator.webhooks import Undelivered, WebhookRequest, Webhooks

SPEECH_SECONDS_PER_CHARACTER = 0.05
SPEECH_SECONDS_AT_MOST = 10.0
AUDIO_SECONDS = 3.0


class VerbFailed(Exception):
    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Interpreter:
    def __init__(
        self,
        engine: CallEngine,
        webhooks: Webhooks,
        journal: Journal,
        background: Background,
        rules: bxml.Rules,
        time_scale: float,
    ) -> None:
        self.transfers: Transfers
        self._engine = engine
        self._webhooks = webhooks
        self._journal = journal
        self._background = background
        self._rules = rules
        self._time_scale = time_scale

    async def run(self, call: Call, fetch: Fetch) -> None:
        """Conduct an A leg from `fetch` until it ends; running out of verbs is an implicit hang-up."""
        if await self.conduct(call, fetch) is not None:
            self._engine.end(call, "hangup")

    async def conduct(self, call: Call, fetch: Fetch | None) -> Over | None:
        """Follow the BXML to its end; None when the call failed over it and has been ended."""
        try:
            while fetch is not None:
                result = await self._execute(call, await self._document(call, fetch))
                if isinstance(result, Over):
                    return result
                fetch = result
        except VerbFailed as failure:
            self._engine.end(call, failure.cause, str(failure))
            return None
        return Over.RAN_OUT

    async def _document(self, call: Call, fetch: Fetch) -> Document:
        if call.asked_at is None:
            call.asked_at = monotonic()
        payload = build(fetch.event_type, call, **fetch.extra)
        hook = WebhookRequest(
            fetch.event_type, call.call_id, payload, fetch.primary, fetch.fallback, call.callbacks.timeout
        )
        try:
            reply = await self._webhooks.deliver_synchronously(hook)
        except Undelivered as error:
            raise VerbFailed("callback-error", str(error)) from None
        if call.first_bxml_ms is None:
            call.first_bxml_ms = (monotonic() - call.asked_at) * 1000
        call.document = reply.body.decode(errors="replace")
        try:
            document = bxml.parse(reply.body, reply.content_type, reply.url, self._rules)
            if call.parent is not None:
                check_leg(document)
        except bxml.InvalidBxml as error:
            self._journal.complain(f"invalid BXML in reply to {fetch.event_type} at {reply.url}: {error}")
            raise VerbFailed("invalid-bxml", str(error)) from None
        return document

    async def _execute(self, call: Call, document: Document) -> Fetch | Over:
        if not document.verbs:
            # "<Response/>" equals "<Response><Hangup/></Response>".
            return Over.HANGUP
        for verb in document.verbs:
            step = await self._verb(call, verb, document.base_url)
            if step is not None:
                return step
        return Over.RAN_OUT

    async def _verb(self, call: Call, verb: Verb, base_url: str) -> Fetch | Over | None:
        """One verb; None goes on with the next."""
        if (tag := verb.get("tag")) is not None:
            call.tag = tag
        # That a verb answers an inbound call is documented for Ring only; assumed for all but these.
        if verb.name not in {"Hangup", "Tag", "Redirect"} and verb.get("answerCall") != "false":
            self._engine.answer(call)
        step: Fetch | Over | None = None
        match verb.name:
            case "Hangup":
                step = Over.HANGUP
            case "Tag":
                call.tag = verb.text
            case "Redirect":
                step = fetch_of(verb, "redirect", base_url, "redirect")
            case "Transfer":
                step = await self.transfers.transfer(call, verb, base_url)
            case "Bridge":
                step = await self.transfers.bridge(call, verb, base_url)
            case "Gather":
                step = await self._gather(call, verb, base_url)
            case _:
                await self._sound(call, verb, base_url)
        return step

    async def _sound(self, call: Call, verb: Verb, base_url: str) -> None:
        match verb.name:
            case "SpeakSentence":
                self._engine.speak(call, verb.text)
                await self._pass(min(SPEECH_SECONDS_PER_CHARACTER * len(verb.text), SPEECH_SECONDS_AT_MOST))
            case "PlayAudio":
                seconds = AUDIO_SECONDS
                self._engine.sound(
                    call, "play", urljoin(base_url, verb.text), seconds=seconds * self._time_scale
                )
                await self._pass(seconds)
            case "Ring":
                seconds = verb.seconds("duration", 5)
                self._engine.sound(call, "ring", seconds=seconds * self._time_scale)
                await self._pass(seconds)
            case "Pause":
                await self._pass(verb.seconds("duration", 1))

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._time_scale)

    async def _gather(self, call: Call, verb: Verb, base_url: str) -> Fetch | None:
        digits, terminator = await self._digits(call, verb, base_url)
        return fetch_of(verb, "gather", base_url, "gather", digits=digits, terminatingDigit=terminator)

    async def _digits(self, call: Call, verb: Verb, base_url: str) -> tuple[str, str]:
        terminators = verb.get("terminatingDigits") or ""
        most = int(verb.seconds("maxDigits", 50))
        digits = ""
        key = await self._first_key(call, verb, base_url)
        while key is not None:
            if key in terminators:
                return digits, key
            digits += key
            if len(digits) >= most:
                break
            key = await self._key(call, verb.seconds("interDigitTimeout", 5))
        return digits, ""

    async def _first_key(self, call: Call, verb: Verb, base_url: str) -> str | None:
        """The first digit stops the prompts; the timeout counts after them and is the gap of repeats."""
        wait = verb.seconds("firstDigitTimeout", 5)
        for _ in range(int(verb.seconds("repeatCount", 1))):
            prompts = self._background.start(
                self._prompts(call, verb, base_url), name=f"prompts {call.call_id}"
            )
            press = self._background.start(call.keys.get(), name=f"keys {call.call_id}")
            try:
                await asyncio.wait({prompts, press}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({press}, timeout=wait * self._time_scale)
                if press.done():
                    return press.result()
            finally:
                prompts.cancel()
                press.cancel()
        return None

    async def _prompts(self, call: Call, verb: Verb, base_url: str) -> None:
        for prompt in verb.children:
            await self._sound(call, prompt, base_url)

    async def _key(self, call: Call, seconds: float) -> str | None:
        try:
            async with asyncio.timeout(seconds * self._time_scale):
                return await call.keys.get()
        except TimeoutError:
            return None


def check_leg(document: Document) -> None:
    """The transferAnswer page lists what its reply may hold; assumed for all BXML of the leg."""
    for verb in document.verbs:
        if verb.name not in ON_TRANSFER_ANSWER:
            raise bxml.InvalidBxml(f"<{verb.name}> is not allowed in the reply to transferAnswer")
