"""Fine weather: nothing goes wrong, and nothing is excused."""

from tests.chaos.weathers.base import Weather


class Calm(Weather):
    pass
