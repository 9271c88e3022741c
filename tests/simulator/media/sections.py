"""Session descriptions as text: what aiortc cannot read or write of those that browsers exchange with us."""

import re
from typing import NamedTuple

_EVENT = re.compile(r"a=rtpmap:(\d+) telephone-event/(\d+)")
_DIRECTION = re.compile(r"a=(sendrecv|sendonly|recvonly|inactive)")


class Section:
    """One `m=` line and what belongs to it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    @property
    def kind(self) -> str:
        return self.lines[0][2:].split(" ")[0]

    @property
    def rejected(self) -> bool:
        """Port 0: its transceiver is stopped for good."""
        return self.lines[0].split(" ")[1] == "0"

    @property
    def mid(self) -> str:
        return self._value("a=mid:")

    @property
    def stream(self) -> str:
        """Id of the MediaStream, the first word of `a=msid`; empty where there is none."""
        return self._value("a=msid:").split(" ")[0]

    @property
    def sends(self) -> bool:
        return any(line in {"a=sendonly", "a=sendrecv"} for line in self.lines)

    @property
    def events(self) -> dict[int, str]:
        """Payload types of telephone-event (RFC 4733), each with its clock rate."""
        found = (_EVENT.fullmatch(line) for line in self.lines)
        return {int(match[1]): match[2] for match in found if match}

    def reject(self) -> None:
        words = self.lines[0].split(" ")
        self.lines[0] = " ".join([words[0], "0", *words[2:]])
        self.lines = ["a=inactive" if _DIRECTION.fullmatch(line) else line for line in self.lines]

    def accept_events(self, events: dict[int, str]) -> None:
        self.lines[0] += "".join(f" {payload}" for payload in events)
        for payload, rate in events.items():
            self.lines += [f"a=rtpmap:{payload} telephone-event/{rate}", f"a=fmtp:{payload} 0-16"]

    def _value(self, start: str) -> str:
        return next((line[len(start) :] for line in self.lines if line.startswith(start)), "")


class Description(NamedTuple):
    head: list[str]
    sections: list[Section]

    @property
    def ufrag(self) -> str:
        """Whose change says that ICE begins anew; bundled sections share it."""
        lines = [*self.head, *(line for section in self.sections for line in section.lines)]
        return next((line for line in lines if line.startswith("a=ice-ufrag:")), "")

    def __str__(self) -> str:
        lines = [*self.head, *(line for section in self.sections for line in section.lines)]
        return "".join(f"{line}\r\n" for line in lines)


def parse(sdp: str) -> Description:
    head: list[str] = []
    sections: list[Section] = []
    for line in sdp.split("\r\n"):
        if line.startswith("m="):
            sections.append(Section([]))
        if line:
            (sections[-1].lines if sections else head).append(line)
    return Description(head, sections)


def without_candidates(sdp: str) -> str:
    """Browsers hide their addresses behind mDNS names, and come to us in any case."""
    return "".join(
        f"{line}\r\n"
        for line in sdp.split("\r\n")
        if line and not line.startswith(("a=candidate:", "a=end-of-candidates"))
    )


def completed(answer: str, offer: Description) -> str:
    """The answer with what aiortc leaves out: rejected sections, and telephone-event, which it cannot decode.

    It answers rejected sections as if they lived, and Chromium throws; so does sendDtmf without the events.
    """
    ours = parse(answer)
    for mine, theirs in zip(ours.sections, offer.sections, strict=True):
        if theirs.rejected:
            mine.reject()
        elif theirs.kind == "audio":
            mine.accept_events(theirs.events)
    bundle = next((line for line in offer.head if line.startswith("a=group:BUNDLE")), "a=group:BUNDLE")
    head = [bundle if line.startswith("a=group:BUNDLE") else line for line in ours.head]
    return str(Description(head, ours.sections))
