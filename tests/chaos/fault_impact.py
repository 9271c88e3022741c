"""What explains that a caller was turned away: what really struck, by the order of events.

A fault explains the apologies of the call that it was made for, or of those whose room it was. A breaker that
faults have opened explains those of its replica until a request succeeds. A trouble (a store that is away, a
replica that was killed) explains what its replicas say until one of them has shown that it is over: by
answering a webhook that was sent after it, with the store at hand.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from service.calls.model import parse_seat
from service.engine.joining.prepared import POOL_SEAT
from tests.chaos.call_histories import CallHistory, over, place_of
from tests.chaos.creates import AGAIN, TURNED_AWAY
from tests.chaos.cut_off import impaired_spans
from tests.chaos.operations import WAITED_FOR, is_waited_for
from tests.chaos.requests_in_flight import RequestsInFlight, answered_at, failed, last_of
from tests.chaos.times import NEVER
from tests.chaos.troubles import Trouble
from tests.simulator.journal import Delivery, Request

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence

JOINS: Final = frozenset(
    {
        "token",
        "createSession",
        "createParticipant",
        "addParticipantToSession",
        "listSessionParticipants",
        "createCall",
    }
)
"""What is asked for to get a phone into its room."""
REMOVES: Final = "removeParticipantFromSession"
"""Asked for on the same way where the room has another session by then. How it ends is passed over."""
ROW: Final = {"token": 2, "voice": 5, "webrtc": 5}
"""Failures in a row, each of another piece of work, that open a breaker (docs/design.md, When Bandwidth is
down), at least."""


class FaultImpact:
    def __init__(self, evidence: "Evidence") -> None:
        simulator = evidence.simulator
        self._names = {one.name: one.host for one in evidence.fleet.addresses}
        requests = sorted(simulator.requests, key=lambda one: one.at)
        self._tags = {
            one.created: str((one.body or {}).get("tag", "")) for one in requests if one.created is not None
        }
        """By participant or session: its seat, or its room."""
        self._expired = _expired(requests, self._tags)
        self._doubts = _doubts(requests, self._tags, self._expired)
        self._by_tag: dict[str, RequestsInFlight] = defaultdict(RequestsInFlight)
        self._tokens: dict[str, RequestsInFlight] = defaultdict(RequestsInFlight)
        """By host: they are made for all of its calls."""
        self._ways_in: dict[str, RequestsInFlight] = defaultdict(RequestsInFlight)
        """All requests for them: by seat's call, room of a session, or host of a token."""
        self._attempts: dict[tuple[str, str], dict[int, list[Request]]] = defaultdict(dict)
        """By host and ref: the requests for each attempt of a call at a way in, in order."""
        followers = _followers(requests, self._tags)
        for place, one in enumerate(requests):
            if one.operation in JOINS or place in followers:
                self._take(one)
        self._questions: dict[str, list[Request]] = defaultdict(list)
        self._updates: dict[str, list[Request]] = defaultdict(list)
        for one in requests:
            if one.operation == "getCall":
                self._questions[one.ids.get("callId", "")].append(one)
            elif one.operation == "updateCall":
                self._updates[one.ids.get("callId", "")].append(one)
        self._open = {
            (host, api): _open_spans([one for one in all_ if WAITED_FOR[one.operation] == api], ROW[api])
            for host, all_ in _by_host(requests).items()
            for api in ROW
        }
        self._served = _served(simulator.deliveries)
        self._hindered = {
            host: impaired_spans(evidence, host, partial(self._shown, name))
            for name, host in self._names.items()
        }
        self._troubles = {
            host: self._shown(name, [one for one in evidence.troubles.felt if one.host in {"", host}])
            for name, host in self._names.items()
        }

    def _take(self, one: Request) -> None:
        """Of those by which somebody is let in."""
        ref, attempt = self._attempt(one)
        if ref:
            self._attempts[one.host, ref].setdefault(attempt, []).append(one)
        of_session = self._tags.get(one.ids.get("sessionId", ""), "")
        for tag in {one.host} if one.operation == "token" else self._about(one) - {of_session}:
            self._ways_in[tag].add(one)
        if self.was_hit(one) and one.operation != REMOVES:
            if one.operation == "token":
                self._tokens[one.host].add(one)
            # Not found, the session is in doubt to all who want in; any other failure is that of one caller.
            alone = one.operation == "addParticipantToSession" and one.status != 404 and self._has_owner(one)
            for tag in self._about(one) - ({of_session} if alone else set()):
                self._by_tag[tag].add(one)

    def _has_owner(self, request: Request) -> bool:
        """Whether its participant was made for one call or browser, and not for whoever comes next."""
        return self._tags.get(request.ids.get("participantId", ""), "") not in {"", POOL_SEAT}

    def host_of(self, url: str) -> str:
        """The replica at this address, by the name that it knows Bandwidth by."""
        return next((host for name, host in self._names.items() if url.startswith(f"https://{name}.")), "")

    def was_hit(self, request: Request) -> bool:
        """Whether something went wrong with it that was not of the service's making."""
        if request.fault is not None:
            return True
        return request.status == 404 and request.ids.get("sessionId", "") in self._expired

    def saw_expiry(self, rooms: Iterable[str]) -> bool:
        """Whether a session of one of these rooms has vanished at Bandwidth."""
        return not {self._tags.get(one, "") for one in self._expired}.isdisjoint(rooms)

    def reconciler_requests(self, call_id: str) -> list[Request]:
        """By which Bandwidth was asked after this call."""
        return self._questions.get(call_id, [])

    def ends_told(self, history: CallHistory) -> list[Request]:
        """Questions that were answered with the end of this call, and from which the service learns of it.

        Not the one that follows a request which met no such call: it only tells whether that is done.
        """
        unmet = [
            (one.at + one.ms / 1000, one.host)
            for one in self._updates.get(history.call_id, [])
            if one.status in {404, 409}
        ]
        found: list[Request] = []
        for one in self.reconciler_requests(history.call_id):
            if one.status != 200 or one.fault is not None:
                continue
            check = next((it for it in unmet if it[0] <= one.at and it[1] == one.host), None)
            if check is not None:
                unmet.remove(check)
            elif one.at >= history.ended_at:
                found.append(one)
        return found

    def written_by(self, host: str, since: float) -> float:
        """When at the latest this replica has written down, and told, what it did then, unless it was killed.

        A webhook that was sent afterwards was answered, and one that was sent after that.
        """
        for name, one in self._names.items():
            if one == host:
                sent, ends = self._served.get(f"https://{name}.test", ([], []))
                for _ in range(2):
                    first = bisect_right(sent, since)
                    since = ends[first] if first < len(ends) else NEVER
        return since

    def _about(self, request: Request) -> set[str]:
        body = _body(request)
        answer_url = str(body.get("answerUrl", ""))
        participant, session = request.ids.get("participantId", ""), request.ids.get("sessionId", "")
        names = {str(body.get("tag", "")), self._tags.get(participant, ""), self._tags.get(session, "")}
        return ({_ref(one) for one in names} | {place_of(answer_url)[1]}) - {""}

    def _attempt(self, request: Request) -> tuple[str, int]:
        """The ref and the number of the attempt that it was made for; empty and 0 where it does not say."""
        body = _body(request)
        kind, ref, attempt = place_of(str(body.get("answerUrl", "")))
        if kind == "legs":
            return ref, attempt
        tag = self._tags.get(request.ids.get("participantId", ""), "") or str(body.get("tag", ""))
        return parse_seat(tag)

    def join(self, history: CallHistory, since: float, until: float, url: str) -> str:
        """What has struck a way in of this call, under way in this time; empty where nothing has.

        Calls wait together for a session or a token, which may have been asked for before this call came.
        """
        tags = (history.ref, *sorted(history.rooms))
        return self._way_in(tags, self.host_of(url), since, until, ROW) or self._hindrance(
            history, since, until
        )

    def session_requests_hit(self, room: str, host: str, since: float, until: float) -> str:
        """The same of a way into this room for a participant that there is already."""
        spans = self._hindered.get(host, [])
        hindered = (what for begun, over, what in spans if begun <= until and since <= over)
        return self._way_in((room,), host, since, until, ("token", "webrtc")) or next(hindered, "")

    def _way_in(self, tags: Sequence[str], host: str, since: float, until: float, apis: Iterable[str]) -> str:
        for tag in tags:
            if _meets(self._doubts.get(tag, []), since, until):
                return f"the session of {tag} had vanished, and there was no new one"
        if (one := self._request(tags, host, since, until)) is not None:
            return f"{one.operation} was struck: {one.fault or one.status}"
        for api in apis:
            if _meets(self._open.get((host, api), []), since, until):
                return f"the breaker of {host} for {api} can have been open"
        return ""

    def request(self, history: CallHistory, since: float, until: float, url: str) -> Request | None:
        """That was struck, for a way in of this call, its rooms or the replica's token, under way then."""
        return self._request((history.ref, *sorted(history.rooms)), self.host_of(url), since, until)

    def _request(self, tags: Sequence[str], host: str, since: float, until: float) -> Request | None:
        return last_of(self._by_tag, tags, since, until) or last_of(self._tokens, (host,), since, until)

    def outlasts(self, history: CallHistory, at: float, until: float, url: str) -> bool:
        """Whether a request for a way in of this call, struck or not, was still under way at that time."""
        tags = (history.ref, *sorted(history.rooms), self.host_of(url))
        return last_of(self._ways_in, tags, at, until) is not None

    def lasts_until(self, history: CallHistory, since: float, at: float, url: str) -> bool:
        """Whether an attempt of this call that began since then was still going on at that time.

        All that it had asked for by then had been answered well, and it asked for more afterwards: the time
        went by in its requests and between them, one after the other.
        """
        for all_ in self._attempts.get((self.host_of(url), history.ref), {}).values():
            asked = bisect_right(all_, at, key=lambda one: one.at)
            well = all(answered_at(one) <= at and self._went_well(one) for one in all_[:asked])
            if 0 < asked < len(all_) and since <= all_[0].at and well:
                return True
        return False

    def _went_well(self, request: Request) -> bool:
        """Whether a way in goes on after it."""
        return request.operation == REMOVES or not (failed(request) or self.was_hit(request))

    def _hindrance(self, history: CallHistory, since: float, until: float) -> str:
        """Of a replica that was asked to work on this call, from then on."""
        asked = [(self.host_of(one.url), one.sent_at) for one in history.deliveries if since <= over(one)]
        asked += [(one.host, one.sent_at) for one in history.orders]
        for host, at in asked:
            spans = self._hindered.get(host, [])
            first = bisect_left(spans, max(since, at), key=lambda span: span[1])
            if at <= until and first < len(spans) and spans[first][0] <= until:
                return f"{host}: {spans[first][2]}"
        return ""

    def trouble(self, url: str, since: float, until: float) -> str:
        """What was the matter with this replica or its store; empty where nothing was."""
        return self.trouble_of(self.host_of(url), since, until)

    def trouble_of(self, host: str, since: float, until: float) -> str:
        """The same of a replica that is known by this name."""
        found = self._trouble(host, since, until)
        return found[2] if found else ""

    def kept_until(self, url: str, since: float, until: float) -> float:
        """When at the latest it has written down what it was told then, and could not, unless it ended.

        The store was shown to be back; what waits is tried again after a pause, and others may be first.
        """
        host = self.host_of(url)
        found = self._trouble(host, since, until)
        return self.written_by(host, found[1] + AGAIN if found else until)

    def _trouble(self, host: str, since: float, until: float) -> tuple[float, float, str] | None:
        troubles = self._troubles.get(host, [])
        begun = bisect_right(troubles, until, key=lambda one: one[0])
        # Of those that had begun the one that was over last.
        return troubles[begun - 1] if begun and since <= troubles[begun - 1][1] else None

    def _shown(self, name: str, troubles: Iterable[Trouble]) -> list[tuple[float, float, str]]:
        """In order: when each began, when it was shown of all until then that they are over, and of which."""
        sent, ends = self._served.get(f"https://{name}.test", ([], []))
        found: list[tuple[float, float, str]] = []
        for one in sorted(troubles, key=lambda one: one.begun):
            first = bisect_right(sent, one.over)
            shown = ends[first] if first < len(ends) else NEVER
            if found and found[-1][1] >= shown:
                found.append((one.begun, *found[-1][1:]))
            else:
                found.append((one.begun, shown, f"{one.kind} since {one.begun:.3f}"))
        return found


def _ref(tag: str) -> str:
    """Of a seat; a room's name is left as it is."""
    return tag.rpartition(".")[0] or tag


def _followers(requests: Sequence[Request], tags: Mapping[str, str]) -> set[int]:
    """The places of removals by which a participant follows its room into a new session.

    The session that it is asked into, or out of, next is another one of the same room. Who is cleaned up is
    taken out of the room's session, and is in none afterwards.
    """
    found: set[int] = set()
    next_: dict[str, str] = {}
    for place in reversed(range(len(requests))):
        one = requests[place]
        participant, session = one.ids.get("participantId", ""), one.ids.get("sessionId", "")
        if not (participant and session):
            continue
        other = next_.get(participant, session)
        room = tags.get(session, "")
        if one.operation == REMOVES and other != session and room and tags.get(other) == room:
            found.add(place)
        next_[participant] = session
    return found


def _expired(requests: Iterable[Request], tags: dict[str, str]) -> set[str]:
    """Sessions that are gone, and that nobody has asked to be deleted before it was not found."""
    deleted: set[str] = set()
    expired: set[str] = set()
    for one in requests:
        session = one.ids.get("sessionId", "")
        if one.operation == "deleteSession" and one.status is not None and one.status < 300:
            deleted.add(session)
        elif one.status == 404 and session in tags and session not in deleted:
            expired.add(session)
    return expired - deleted


def _doubts(
    requests: Iterable[Request], tags: dict[str, str], expired: set[str]
) -> dict[str, list[tuple[float, float]]]:
    """By room: from when its session was not found until somebody was put into another. In order, apart.

    That another was made is not enough: whoever asked for it may have been killed before it knew.
    """
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in requests:
        session = one.ids.get("sessionId", "")
        room = tags.get(session, "")
        if one.status == 404 and session in expired and (not spans[room] or spans[room][-1][1] < one.at):
            spans[room].append((one.at, NEVER))
        elif one.operation == "addParticipantToSession" and one.status is not None and one.status < 300:
            open_ = spans[room]
            if open_ and open_[-1][1] == NEVER:
                open_[-1] = (open_[-1][0], one.at + one.ms / 1000)
    return spans


def _meets(spans: list[tuple[float, float]], since: float, until: float) -> bool:
    """Whether one of these lies in that time at least in part."""
    first = bisect_left(spans, since, key=lambda span: span[1])
    return first < len(spans) and spans[first][0] <= until


def _by_host(requests: Iterable[Request]) -> dict[str, list[Request]]:
    hosts: dict[str, list[Request]] = defaultdict(list)
    for one in requests:
        if is_waited_for(one):
            hosts[one.host].append(one)
    return hosts


def _open_spans(requests: list[Request], row: int) -> list[tuple[float, float]]:
    """From the failure that can have opened a breaker to the next success. In order, apart."""
    spans: list[tuple[float, float]] = []
    failures: set[Hashable] = set()
    since = NEVER
    for one in sorted(requests, key=lambda one: (answered_at(one), not failed(one))):
        at = answered_at(one)
        if failed(one):
            failures.add(_piece_of_work(one))
            since = min(since, at) if len(failures) >= row else NEVER
            continue
        if since < NEVER:
            spans.append((since, at))
        failures, since = set(), NEVER
    if since < NEVER:
        spans.append((since, NEVER))
    return spans


def _piece_of_work(request: Request) -> Hashable:
    """Whose failures count once in a row: those of a session's adds, and repeats of a call's own requests.

    Where the request does not say whose it is, it stands for itself.
    """
    body = _body(request)
    match request.operation:
        case "addParticipantToSession" | "updateParticipantSubscriptions":
            about = ("session", request.ids.get("sessionId", ""))
        case "createParticipant":
            about = ("participant", parse_seat(str(body.get("tag", "")))[0])
        case "createCall":
            about = place_of(str(body.get("answerUrl", "")))[:2]
        case "updateCall":
            about = ("phone", request.ids.get("callId", ""))
        case _:
            about = ("", "")
    return about if about[1] else object()


def _body(request: Request) -> Mapping[str, object]:
    return request.body if isinstance(request.body, dict) else {}


def _served(deliveries: Iterable[Delivery]) -> dict[str, tuple[list[float], list[float]]]:
    """By address: when those were sent that got an answer from the store, and the first end since."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in deliveries:
        if one.synchronous and one.status == 200 and not any(sign in one.reply for sign in TURNED_AWAY):
            found[one.url.partition("/callbacks")[0]].append((one.sent_at, over(one)))
    spans: dict[str, tuple[list[float], list[float]]] = {}
    for address, all_ in found.items():
        all_.sort()
        ends: list[float] = []
        for _, end in reversed(all_):
            ends.append(min(end, ends[-1]) if ends else end)
        spans[address] = ([sent for sent, _ in all_], ends[::-1])
    return spans
