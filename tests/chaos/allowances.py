"""Names what is excused, and when. A finding with any other excuse is wrong.

Each is decided by the order of events. For each there is a mutant that is seen in spite of it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ALLOWANCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "answer-lost": (
            "a create was carried out, and the weather cut its answer off, held it for longer than "
            "the service promises to wait, or ended the process that waited"
        ),
        "answer-unreadable": "a create was carried out, and its answer arrived without the id",
        "killed-before-written": "the process was killed before it can have written down what a create made",
        "unanswered": (
            "a webhook was lost on its way to each address, or found nobody there, or one that stood "
            "still for too long to answer it"
        ),
        "turned-away": (
            "a caller met no store, and the process that kept their call in memory ended before the "
            "store was back"
        ),
        "reply-without-store": (
            "a copy of a webhook met no store, or a replica that had not yet met it again"
        ),
        "silence-in-trouble": "something struck while a phone waited, for three rounds at most",
        "end-not-logged-before-kill": (
            "the process was killed between the commit of a call's end and its line"
        ),
        "end-known-to-a-killed-replica": (
            "that we let a caller go was known to a process alone that was killed"
        ),
        "ended-by-the-release-before": (
            "a process of the release before blamed the phone for a call that was hung up by an order"
        ),
        "left-by-the-release-before": (
            "a process of the release before freed a seat, and left a field that it does not know"
        ),
        "let-go-after-its-line": "a call's end was logged before it was known that we had let the caller go",
        "only-its-end-is-known": "a call was first heard of when it had ended, and is told to nobody",
        "worker-in-trouble": (
            "a worker was killed, frozen or cut off with work under way, and another took over"
        ),
        "session-not-missed-yet": "Bandwidth lost a session, and nobody has asked it for anything since",
        "move-failed": "a move failed, and was told so, after something had struck that move itself",
    }
)
