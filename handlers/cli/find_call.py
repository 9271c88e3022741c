"""Which call somebody means: by our id, by Bandwidth's, or by how one of the two begins."""

import re
from typing import Final

from handlers.cli import runtime
from service.calls.outcomes import is_erased
from service.calls.refs import is_ref
from service.store.calls import Calls

_OURS: Final = re.compile(r"p[0-9a-z-]{0,24}")
_THEIRS: Final = re.compile(r"c-[A-Za-z0-9-]{0,200}")
_SHOWN: Final = 5
_PAGE: Final = 200
_LOOK: Final = 5_000
"""Newest calls among which one is looked for by how Bandwidth's id begins."""


async def find_ref(calls: Calls, name: str) -> str:
    """The ref of a call that is there. Ends the command where it is none, or not the only one."""
    exact = await calls.find_ref(name)
    if exact is not None and await _exists(calls, exact):
        return exact
    refs = [] if is_ref(name) else await _find_by_prefix(calls, name)
    if len(refs) > 1:
        more = ", ..." if len(refs) > _SHOWN else ""
        runtime.fail(f"{name} may be one of several calls: {', '.join(refs[:_SHOWN])}{more}")
    if not refs:
        runtime.fail(f"there is no call {name}; `pstn-bridge calls --since 1d` lists them")
    return refs[0]


async def _find_by_prefix(calls: Calls, name: str) -> list[str]:
    if _OURS.fullmatch(name):
        found = await calls.find_by_prefix(name, limit=_SHOWN + 1)
        return [ref for ref in found if await _exists(calls, ref)]
    return await _by_call_id(calls, name) if _THEIRS.fullmatch(name) else []


async def _by_call_id(calls: Calls, name: str) -> list[str]:
    refs: list[str] = []
    before, looked = None, 0
    while looked < _LOOK:
        recent = await calls.list_recent(before=before, since=None, until=None, limit=_PAGE)
        refs += [call.ref for call in recent.calls if call.call_id.startswith(name)]
        before, looked = recent.next, looked + _PAGE
        if before is None or len(refs) > _SHOWN:
            break
    return refs


async def _exists(calls: Calls, ref: str) -> bool:
    found = await calls.read_many([ref])
    return bool(found) and not is_erased(found[0])
