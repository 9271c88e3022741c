"""Looks for a smaller case of what a turn has shown, by halving its weather and its calls."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from tests.chaos.plan import Turn

SHORTEST = 2.0
"""Seconds of weather below which halving ends."""
Fails = Callable[[Turn], Awaitable[bool]]
"""Plays a turn; whether it shows the same fault."""


async def shrink(turn: Turn, seconds: float, fails: Fails, may_go_on: Callable[[], bool]) -> Turn:
    """The smallest turn that still fails. `seconds`: how long calls begin in the turn.

    A storm is no sequence of fixed instants: what needs a rare moment may not show in a half that has it.
    Then the larger turn stays.
    """
    window = turn.window or (0.0, seconds)
    while may_go_on() and window[1] - window[0] >= 2 * SHORTEST:
        middle = (window[0] + window[1]) / 2
        halves = [replace(turn, window=half) for half in ((window[0], middle), (middle, window[1]))]
        half = await _first(halves, fails, may_go_on)
        if half is None or half.window is None:
            break
        turn, window = half, half.window
    while may_go_on() and len(turn.numbers) > 1:
        numbers = tuple(turn.numbers)
        middle_one = len(numbers) // 2
        halves = [replace(turn, only=half) for half in (numbers[:middle_one], numbers[middle_one:])]
        half = await _first(halves, fails, may_go_on)
        if half is None:
            break
        turn = half
    return turn


async def _first(turns: list[Turn], fails: Fails, may_go_on: Callable[[], bool]) -> Turn | None:
    for turn in turns:
        if may_go_on() and await fails(turn):
            return turn
    return None
