"""What `/metrics` says, as a test reads it: by prometheus-client's own parsers."""

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.operators import NO_TLS
from tests.waiting import wait_until

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class MetricsPage:
    def __init__(self, text: str, content_type: str) -> None:
        self.text = text
        parse = openmetrics if content_type.startswith("application/openmetrics-text") else plain
        self.families = list(parse(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """Of all samples, as a query names them."""
        return {sample.name for sample in self.samples}

    def get(self, name: str, **labels: str) -> float:
        """The sum over the series with these labels; 0 where there is none."""
        fits = (one for one in self.samples if one.name == name and labels.items() <= one.labels.items())
        return float(sum(one.value for one in fits))

    def lines(self, name: str) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith(name)]

    def has(self, name: str) -> bool:
        return name in self.names


async def scraped(url: str, accept: str = "text/plain") -> MetricsPage:
    async with httpx.AsyncClient(verify=NO_TLS) as client:
        answer = await client.get(f"{url}/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    return MetricsPage(answer.text, answer.headers["content-type"])


async def wait_for_metric(
    url: str, name: str, value: float = 1, *, seconds: float = 8.0, **labels: str
) -> MetricsPage:
    """The page, once the metric has reached the value."""
    pages: list[MetricsPage] = []

    async def reached() -> bool:
        pages[:] = [await scraped(url)]
        return pages[0].get(name, **labels) >= value

    await wait_until(reached, seconds=seconds, what=lambda: f"{labels} of {value}: {pages[0].lines(name)}")
    return pages[0]
