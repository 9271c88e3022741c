"""A room that takes somebody in though it holds as many as it may, by its own limit or by Bandwidth's.

A limit that is set lower than what there are puts nobody out; then nobody else comes in.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.finding import Finding
from tests.chaos.room_members import counts
from tests.chaos.store_history import UnknownCommand

if TYPE_CHECKING:
    from tests.chaos.evidence import Evidence


def check(evidence: "Evidence") -> Iterator[Finding]:
    """By the store's journal: each seat that is taken is one of its steps."""
    members: dict[str, int] = {}
    try:
        for one in counts(evidence.store_steps):
            before = members.get(one.room, 0)
            members[one.room] = one.members
            if before < one.members > one.limit:
                after = one.moment.after
                yield Finding(
                    what=f"{one.room} took in member {one.members}, and may hold {one.limit}",
                    ids=(one.room,),
                    at=after if after > 0 else None,
                )
    except UnknownCommand:
        return  # the eye for keys tells it
