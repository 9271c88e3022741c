"""The session in the documentation is what the command says today."""

from tests.command.captured import documented, session, shape
from tests.command.shell import Shell
from tests.operators import Operator
from tests.simulator.simulator import Simulator


async def test_the_documented_session(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    told = await session(shell, simulator, operator)
    assert shape(told) == shape(documented()), "python -m tests.command.captured renews it"
