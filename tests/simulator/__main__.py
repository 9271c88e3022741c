"""The simulator in a process of its own: `python -m tests.simulator --help`."""

import argparse
import asyncio
import signal
from typing import get_args
from urllib.parse import urlsplit

from tests.simulator.journal import (
    Happening,
    MemberChanged,
    PhoneChanged,
    RequestAnswered,
    SoundHeard,
    SpeechHeard,
)
from tests.simulator.settings import Auth, SimulatorSettings
from tests.simulator.simulator import Simulator


def arguments() -> argparse.Namespace:
    default = SimulatorSettings()
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description="Bandwidth on loopback: the voice and WebRTC APIs, phones, webhooks. "
        "Controlled by HTTP under /simulator.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--callback", metavar="URL", default="", help="where initiate and disconnect go")
    parser.add_argument("--callback-username", help="Basic credentials for --callback")
    parser.add_argument("--callback-password")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="ORIGIN=TARGET",
        help="deliver what goes to ORIGIN to TARGET, as a TLS terminator would; may be repeated",
    )
    parser.add_argument("--account", default=default.account_id)
    parser.add_argument("--client-id", default=default.client_id)
    parser.add_argument("--client-secret", default=default.client_secret)
    parser.add_argument("--application", default=default.application_id)
    parser.add_argument("--number", default=default.number)
    parser.add_argument("--voice-auth", choices=get_args(Auth), default=default.voice_auth)
    parser.add_argument("--webrtc-auth", choices=get_args(Auth), default=default.webrtc_auth)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="added to every API request")
    parser.add_argument("--time-scale", type=float, default=1.0, help="of what runs in calls; 1 is real time")
    parser.add_argument(
        "--media",
        action="store_true",
        help="sound: browsers may connect, phones speak and hear; needs aiortc",
    )
    parser.add_argument("--watch", action="store_true", help="print everything that happens")
    return parser.parse_args()


def simulator(options: argparse.Namespace) -> Simulator:
    sim = Simulator(
        SimulatorSettings(
            port=options.port,
            account_id=options.account,
            client_id=options.client_id,
            client_secret=options.client_secret,
            application_id=options.application,
            number=options.number,
            voice_auth=options.voice_auth,
            webrtc_auth=options.webrtc_auth,
            latency=options.latency_ms / 1000,
            time_scale=options.time_scale,
            media=options.media,
        )
    )
    targets: dict[str, list[str]] = {}
    for mapping in options.map:
        origin, _, target = mapping.partition("=")
        targets.setdefault(origin, []).append(target)
    parts = urlsplit(options.callback)
    if parts.scheme == "http":
        targets.setdefault(f"{parts.scheme}://{parts.netloc}", [])
    for origin, to in targets.items():
        sim.map_origin(origin, *to)
    sim.application.initiate_url = sim.application.status_url = options.callback
    sim.application.username = options.callback_username
    sim.application.password = options.callback_password
    if options.watch:
        sim.observe(lambda happening: print(line(happening), flush=True))
    return sim


def line(happening: Happening) -> str:
    at = f"{happening.at_ms:10.1f} ms  "
    if isinstance(happening, RequestAnswered):
        request = happening.request
        return f"{at}service -> Bandwidth  {request.operation} {request.status} in {request.ms:.1f} ms"
    if isinstance(happening, PhoneChanged):
        kind = "leg" if happening.parent_call_id else "call"
        return f"{at}{kind} {happening.call_id} {happening.stage} {happening.cause or ''}"
    if isinstance(happening, SpeechHeard):
        return f"{at}call {happening.call_id} hears: {happening.text}"
    if isinstance(happening, SoundHeard):
        return f"{at}call {happening.call_id} hears: {happening.kind}"
    if isinstance(happening, MemberChanged):
        return f"{at}participant {happening.participant_id} in session {happening.session_id}"
    delivery = happening.delivery
    outcome = delivery.status or delivery.error
    return f"{at}Bandwidth -> service  {delivery.event_type} {outcome} in {delivery.ms:.1f} ms"


async def main() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = arguments()
    async with simulator(options) as sim:
        print(f"simulator at {sim.url}, control at {sim.url}/simulator; set for the service:")
        for name, value in {
            "BW_ACCOUNT_ID": sim.account_id,
            "BW_CLIENT_ID": sim.client_id,
            "BW_CLIENT_SECRET": sim.client_secret,
            "BW_VOICE_APPLICATION_ID": sim.application_id,
            "BW_NUMBER": sim.settings.number,
            "BW_VOICE_URL": sim.voice_url,
            "BW_WEBRTC_URL": sim.webrtc_url,
            "BW_TOKEN_URL": sim.token_url,
            "BW_DEVICE_URL": sim.device_url if options.media else None,
            "CALLBACK_USERNAME": options.callback_username,
            "CALLBACK_PASSWORD": options.callback_password,
        }.items():
            if value is not None:
                print(f"export {name}={value}")
        print(end="", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
