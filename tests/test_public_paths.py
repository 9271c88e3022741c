"""Which paths the public side of a proxy lets through: nginx, the chart and the list in docs/edge.md agree.

The list has every route of the application by its whole template, so that a new one fails here until somebody
has decided where it belongs.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from starlette.routing import Route

from deploy.check.public import INSIDE, PUBLIC, addresses, templates
from handlers.api.routes import PREFIX
from handlers.app.asgi import create_app
from handlers.http.resource import Resource
from service.settings import load
from tests.test_deploy import NGINX, REQUIRED, location

ROOT: Final = Path(__file__).parent.parent
EDGE: Final = (ROOT / "docs/edge.md").read_text()
ROUTES: Final = [
    route for route in create_app(load(REQUIRED)).routes if isinstance(route, Route)
]  # of no other kind: the next test says so
INGRESS: Final = (ROOT / "deploy/chart/templates/ingress.yaml").read_text()


def methods(route: Route) -> set[str]:
    endpoint = route.endpoint
    found = endpoint.operations if isinstance(endpoint, Resource) else route.methods or ()
    return {*found} - {"HEAD"}


def below(paths: Iterable[str], prefixes: Iterable[str]) -> set[str]:
    """Those that a proxy lets through which has these prefixes."""
    return {path for path in paths if path.startswith(tuple(prefixes))}


def test_every_route_is_listed_as_public_or_as_inside() -> None:
    assert len(ROUTES) == len(create_app(load(REQUIRED)).routes)
    served = {route.path: methods(route) for route in ROUTES if not route.path.startswith(PREFIX)}
    assert templates(EDGE, PUBLIC) | templates(EDGE, INSIDE) == {
        **served,
        f"{PREFIX}/...": {"GET", "POST", "PUT", "DELETE"},
    }
    operators = [methods(route) for route in ROUTES if route.path.startswith(PREFIX)]
    assert set.union(*operators) == {"GET", "POST", "PUT", "DELETE"}


def test_what_is_inside() -> None:
    assert set(templates(EDGE, INSIDE)) == {f"{PREFIX}/...", "/livez", "/readyz", "/metrics"}


def test_nginx_lets_through_what_is_listed_as_public_and_nothing_else() -> None:
    prefixes = re.findall(r"^\s*location (?:\S+ )?(/\S+) \{", NGINX, re.MULTILINE)
    every = {route.path for route in ROUTES}
    assert below(every, prefixes) == set(templates(EDGE, PUBLIC))
    for prefix in prefixes:
        assert below(every, [prefix]), f"nothing is at {prefix}"
        assert f"proxy_pass http://bridge{prefix};" in location(prefix), "not as it came"
    assert "return 404;" in location("/")
    assert "rewrite" not in NGINX


def test_the_ingress_lets_through_the_same_and_operators_by_a_name_of_their_own() -> None:
    paths = {suffix: {path} for suffix, path in re.findall(r'"suffix" "(\w+)" "path" "([^"]+)"', INGRESS)}
    every = {route.path for route in ROUTES}
    api = paths.pop("api")
    assert below(every, api) == below(every, [PREFIX])
    assert below(every, set.union(*paths.values())) == set(templates(EDGE, PUBLIC))
    assert set(paths) == {"callbacks", "page", "assets"}


def test_the_ingress_passes_on_what_it_has_looked_up() -> None:
    helpers = (ROOT / "deploy/chart/templates/_helpers.tpl").read_text()
    assert "nginx.org/rewrites: serviceName={{ .service }} rewrite={{ .path }}\n" in helpers
    assert "nginx.ingress.kubernetes.io/rewrite-target: {{ .path }}$1\n" in helpers


@pytest.mark.parametrize("table", [PUBLIC, INSIDE])
def test_the_check_with_a_real_proxy_asks_for_every_path_of_the_list(table: str) -> None:
    asked = addresses(EDGE, table)
    assert len(asked) == sum(map(len, templates(EDGE, table).values()))
    for method, path in asked:
        assert "{" not in path
        if table == PUBLIC:
            [route] = [one for one in ROUTES if one.path_regex.fullmatch(path) and method in methods(one)]
            assert route.path in templates(EDGE, PUBLIC)
