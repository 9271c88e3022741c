"""Compresses ended calls and timelines to a third of their bytes, with a shared dictionary.

A dictionary has what they have in common, so that little but ids and times is left to be kept. What is
compressed begins with the number of its dictionary, JSON with a brace: both are read, whatever is written.
"""

import zlib
from typing import Final

import msgspec

MIN_STORE_FORMAT: Final = 2
"""The STORE_FORMAT from which it is written: release 0.1.0 cannot read it."""

_FIRST: Final = (
    b'"tag":"","placed_by":"","on_machine":"hangup","message":"","machine":"human",'
    b'"machine_settled":true,"max_duration":7200.0,"page_alone":60.0,"answered_at":17,"broken_at":17,'
    b'"short_legs":1,"put_off":1,"rounds":1,"retries":1,"elsewhere":"+1","failure":"no-session","farewell":"",'
    b'"announcement":"","announced":true,"tries":1,"wait_until":17,"summoned":1,"place":1,"places":1,'
    b'"way":"bridge","own_leg":true,"leg":"gone","phone_bridges":true,"stocked":true,"direction":"outbound",'
    b'"blame":"callee","reason":"no-answer","cause":"timeout","sip_response_code":486,"error_id":"",'
    b'{"at":17,"event":"transferComplete","before":"transferring","after":"detached","reply":"pause",'
    b'{"at":17,"event":"redirect","reply":"wait","before":"dialing","after":"initiated","event":"effectFailed",'
    b'"error":"server-error","owed":["hang-up","delete-session:","delete-participant:","ask-after",'
    b'{"at":17,"event":"effectDone","effect":"leave-room:call-p0:p0.1","tries":1}'
    b'{"at":17,"event":"disconnect","before":"bridged","after":"ended","reply":"nothing","cause":"hangup",'
    b'"owed":["leave-room:call-p0:p0.1"]}'
    b'{"at":17,"event":"transferAnswer","before":"transferring","after":"bridged","reply":"keep-tag","attempt":1}'
    b'{"at":17,"event":"joined","before":"joining","after":"transferring","reply":"transfer","attempt":1,'
    b'"silence_ms":1.4,"requests":[[20,"create-participant",14.8,200],[20,"create-session",14.7,200],'
    b'[2,"add-participant",2.5,204]]}{"at":17,"event":"initiate","after":"joining","reply":"join"}'
    b'{"ref":"p0","call_id":"c-","direction":"inbound","room":"call-p0","created_at":17,"phone":"gone",'
    b'"intent":"hangup","attempt":1,"session_id":"","participant_id":"","leg_id":"c-","from_number":"+1",'
    b'"to_number":"+1","waits":true,"bridged_at":17,"transferred_at":17,"leg_answered_at":17,'
    b'"answered_attempt":1,"ended_at":17,"silence_ms":1.4,"requests":3,'
    b'"outcome":{"blame":"nobody","reason":"completed","cause":"hangup"}}'
)
DICTIONARIES: Final = {b"\x01": _FIRST}
"""None is ever changed: what was compressed with it needs it to be read."""
_WITH: Final = b"\x01"

_WINDOW: Final = -12
"""Bits of the window's size, which is 4 kB; negative for no header. With the small tables below, a copy costs
3 microseconds instead of 15."""
_TABLES: Final = 2
"""zlib's `memLevel`, from 1 to 9."""
_LEVEL: Final = 6
"""zlib's level of compression, from 1 to 9."""
_LONGEST: Final = 1_000_000
"""Bytes of one text; there is none that long."""

_fresh: Final = zlib.compressobj(
    _LEVEL, zlib.DEFLATED, _WINDOW, _TABLES, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[_WITH]
)


def compress_text(text: bytes) -> bytes:
    one = _fresh.copy()
    return _WITH + one.compress(text) + one.flush()


def decompress_text(kept: bytes) -> bytes:
    """The JSON again. Raises msgspec.DecodeError for what is damaged, or of a later release's dictionary."""
    if kept.startswith(b"{"):
        return kept
    dictionary = DICTIONARIES.get(kept[:1])
    if dictionary is None:
        raise msgspec.DecodeError("neither JSON nor compressed by a release that is known")
    one = zlib.decompressobj(_WINDOW, dictionary)
    try:
        text = one.decompress(kept[1:], _LONGEST)
    except zlib.error as error:
        raise msgspec.DecodeError(f"compressed text is damaged: {error}") from error
    if not one.eof:
        raise msgspec.DecodeError("compressed text is not whole")
    return text
