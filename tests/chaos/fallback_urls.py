"""What has to stand beside each address that Bandwidth is given: a second one, and credentials for both."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.simulator.verbs import Document, Verb

_NO_SECOND: Final = frozenset({"disconnectUrl", "transferDisconnectUrl"})
"""Bandwidth tells of these at one address alone."""
_CREDENTIALS: Final = {
    "username": "CALLBACK_USERNAME",
    "password": "CALLBACK_PASSWORD",
    "fallbackUsername": "CALLBACK_USERNAME",
    "fallbackPassword": "CALLBACK_PASSWORD",
}
"""By attribute: the setting that it is."""


class FallbackUrls:
    """`settings`: those that the site was started with. Where there is no second address nothing is due."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._first = settings.get("BASE_CALLBACK_URL", "")
        self._second = settings.get("FALLBACK_CALLBACK_URL", "")

    def missing_in_document(self, document: Document) -> Iterator[str]:
        """In words, of a reply."""
        for verb in document.verbs:
            yield from self._of_verb(verb)

    def missing_in_body(self, body: Any, what: str) -> Iterator[str]:
        """In words, of attributes of a verb, or of the body of a request. No secret is told."""
        if not self._second or not isinstance(body, Mapping):
            return
        urls = {name: str(url) for name, url in body.items() if _is_first(name)}
        for name, url in urls.items():
            second = None if name in _NO_SECOND else _second_of(name)
            if second is not None and body.get(second) != url.replace(self._first, self._second, 1):
                yield f"{what} has {name} {url} and {second} {body.get(second)}"
        if urls:
            for name, setting in _CREDENTIALS.items():
                if body.get(name) != self._settings.get(setting):
                    yield f"{what} has addresses, and its {name} is not {setting}"
        yield from self.missing_in_body(body.get("machineDetection"), f"{what}: machineDetection")

    def _of_verb(self, verb: Verb) -> Iterator[str]:
        yield from self.missing_in_body(verb.attributes, verb.name)
        for child in verb.children:
            yield from self._of_verb(child)


def _is_first(name: str) -> bool:
    return name.endswith("Url") and not name.endswith("FallbackUrl") and name != "fallbackUrl"


def _second_of(name: str) -> str:
    return "fallbackUrl" if name == "callbackUrl" else f"{name.removesuffix('Url')}FallbackUrl"
