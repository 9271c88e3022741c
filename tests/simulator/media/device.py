"""One browser: its socket, which may be lost and come back, and two peer connections, which outlive that."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

import msgspec
from aiortc.exceptions import InvalidStateError, OperationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.simulator.background import Background
from tests.simulator.events import ParticipantEvent
from tests.simulator.gateway import TRANSPORT
from tests.simulator.media import rpc
from tests.simulator.media.peers import Unconnected
from tests.simulator.media.publishing import Publishing
from tests.simulator.media.subscribing import Subscribing
from tests.simulator.sessions import Participant

# Seconds between PINGs on the data channels.
HEARTBEAT = 5.0
NORMAL = 1000
INVALID = 1007
# What a description may be refused for, and what comes of one that is late: its connection is closed by then.
UNUSABLE = (ValueError, AssertionError, InvalidStateError, OperationError)


class DeviceOwner(ABC):
    """Who is told what becomes of a device."""

    @abstractmethod
    def changed(self) -> None:
        """It has other microphones than before."""

    @abstractmethod
    def happened(self, device: "Device", event: ParticipantEvent) -> None: ...

    @abstractmethod
    def over(self, device: "Device") -> None:
        """It is not to come back."""


class OfferSdp(msgspec.Struct, frozen=True, rename="camel"):
    sdp_offer: str
    media_metadata: dict[str, Any]


class AnswerSdp(msgspec.Struct, frozen=True, rename="camel"):
    sdp_answer: str


class Device:
    """`grace` seconds after its socket was lost it is over."""

    def __init__(
        self,
        participant: Participant,
        unique_id: str,
        background: Background,
        owner: DeviceOwner,
        grace: float,
    ) -> None:
        self.id = str(uuid4())
        self.participant = participant
        self.unique_id = unique_id
        self.digits = ""
        self.publishing = Publishing(participant, background, owner.changed, self._pressed)
        self.subscribing = Subscribing(self._notify)
        self._background = background
        self._owner = owner
        self._grace = grace
        self._socket: WebSocket | None = None
        self._unsent: list[str] = []
        self._left = False
        self._tasks: list[asyncio.Task[None]] = []
        self._patience: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def pongs(self) -> int:
        beating = [self.publishing.heartbeat, self.subscribing.heartbeat]
        return sum(one.pongs for one in beating if one is not None)

    async def serve(self, socket: WebSocket) -> None:
        """Until this socket is closed or lost, or another one has taken its place."""
        await socket.accept()
        before, self._socket = self._socket, socket
        if before is not None:
            # It does not know yet that it is lost.
            _abort(before)
        if self._patience is not None:
            self._patience.cancel()
        self._owner.happened(self, "onConnect")
        await self._catch_up()
        code = await self._read(socket)
        if self._socket is socket:
            self._socket = None
            self._gone(code)

    def drop(self) -> None:
        """Cut the socket, without a word."""
        if self._socket is not None:
            _abort(self._socket)

    async def close(self, code: int) -> None:
        if self._socket is not None:
            await _close(self._socket, code)

    async def end(self, code: int = NORMAL) -> None:
        """Close everything; it may have been closed already."""
        socket, self._socket = self._socket, None
        if self._patience is not None:
            self._patience.cancel()
        if socket is not None:
            await _close(socket, code)
            if not self._left:
                self._owner.happened(self, "onLeave")
        for task in self._tasks:
            task.cancel()
        await self.publishing.close()
        await self.subscribing.close()

    async def _read(self, socket: WebSocket) -> int:
        """The code with which the socket was closed."""
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return int(message["code"])
            try:
                call = rpc.read(message.get("text") or "")
            except msgspec.DecodeError:
                await self.close(INVALID)
                continue
            if call.id is not None:
                self._background.start(self._answer(call), name=f"{call.method} of {self.participant.id}")
            elif call.method == "leave":
                self._left = True
                self._owner.happened(self, "onLeave")

    def _gone(self, code: int) -> None:
        if self._left or code == NORMAL:
            if not self._left:
                self._owner.happened(self, "onLeave")
            self._left = True
            self._owner.over(self)
            return
        self._owner.happened(self, "onDisconnect")
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(self._grace, self._owner.over, self)

    async def _answer(self, call: rpc.RpcCall) -> None:
        try:
            reply = rpc.result(call, await self._do(call))
        except (rpc.RpcError, Unconnected, msgspec.ValidationError, *UNUSABLE) as failure:
            reply = rpc.error(call, str(failure))
        await self._say(reply, keep=True)

    async def _do(self, call: rpc.RpcCall) -> dict[str, Any]:
        match call.method:
            case "setMediaPreferences":
                self._prefer()
            case "offerSdp":
                offer = msgspec.convert(call.params, OfferSdp)
                streams = offer.media_metadata.get("mediaStreams", {})
                aliases = {stream: one.get("alias", "") for stream, one in streams.items()}
                return await self.publishing.offer(offer.sdp_offer, aliases)
            case "answerSdp":
                await self.subscribing.answer(msgspec.convert(call.params, AnswerSdp).sdp_answer)
            case "ping":
                pass
            case unknown:
                raise rpc.RpcError(f"there is no method {unknown}")
        return {}

    def _prefer(self) -> None:
        if not self._tasks:
            self._tasks = [
                self._background.start(self.subscribing.run(), name=f"offers to {self.participant.id}"),
                self._background.start(self._beat(), name=f"heartbeat of {self.participant.id}"),
            ]

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            for heartbeat in (self.publishing.heartbeat, self.subscribing.heartbeat):
                if heartbeat is not None:
                    heartbeat.beat()

    def _pressed(self, key: str) -> None:
        self.digits += key

    async def _notify(self, method: str, params: dict[str, Any]) -> None:
        await self._say(rpc.notification(method, params), keep=False)

    async def _catch_up(self) -> None:
        """Replies that were lost: the SDK waits for them for ever, and counts on where it was."""
        unsent, self._unsent = self._unsent, []
        for text in unsent:
            await self._say(text, keep=True)
        await self.subscribing.resend()

    async def _say(self, text: str, *, keep: bool) -> None:
        if self._socket is not None:
            try:
                await self._socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                pass
            else:
                return
        if keep:
            self._unsent.append(text)


def _abort(socket: WebSocket) -> None:
    socket.scope["extensions"][TRANSPORT].abort()


async def _close(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code)
    except (WebSocketDisconnect, RuntimeError):
        # It was closed from the other side at the same time.
        return
