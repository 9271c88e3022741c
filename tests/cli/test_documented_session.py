"""The session in the documentation is what the command says today."""

from tests.cli.documented_session import documented, normalized, record_session
from tests.cli.shell import Shell
from tests.operators import Operator
from tests.simulator.simulator import Simulator


async def test_the_documented_session(simulator: Simulator, operator: Operator, shell: Shell) -> None:
    told = await record_session(shell, simulator, operator)
    assert normalized(told) == normalized(documented()), "python -m tests.cli.documented_session renews it"
