"""The changes of the master that Sentinels make by themselves, as the storm reads them in their logs."""

from datetime import datetime

from tests.chaos.stores import master_changes


def _log(*lines: str) -> str:
    return "".join(f"5488:X 01 Dec 2026 02:52:{line}\n" for line in lines)


def test_masters_that_sentinels_change_by_themselves() -> None:
    """Two changes, one right after the other: each begins with a master that is down."""
    first = "+switch-master bridge 127.0.0.1 1 127.0.0.1 2"
    second = "+switch-master bridge 127.0.0.1 2 127.0.0.1 3"
    logs = [
        _log(
            "06.500 # +sdown master bridge 127.0.0.1 1",
            f"08.600 # {first}",
            "08.610 # +sdown slave 127.0.0.1:1 127.0.0.1 1 @ bridge 127.0.0.1 2",
            f"10.900 # {second}",
        ),
        _log(
            f"07.600 # {first}", "08.700 # +odown master bridge 127.0.0.1 2 #quorum 3/2", f"09.800 # {second}"
        ),
    ]
    zero = datetime(2026, 12, 1, 2, 52).astimezone().timestamp()
    found = [tuple(round(at - zero, 3) for at in one) for one in master_changes(logs)]
    assert found == [(5.5, 7.6, 8.6), (7.7, 9.8, 10.9)]
