"""openapi.json says what the code does, both ways round."""

import typing
from enum import StrEnum
from typing import Any, Final

import msgspec
import pytest

from handlers.api import bodies, queries
from handlers.api.invitations import DEFAULT_LIFETIME
from handlers.api.json_body import convert_body
from handlers.api.routes import RESOURCES
from handlers.api.views import call_view, room_view
from handlers.http.problems import PROBLEM_KINDS, Problem
from service.api_keys import SCOPES
from service.calls.model import Blame, Call, Direction, OnMachine, Phone, Status
from service.calls.room_settings import AloneAction, InterconnectMode, RoomSettings, WaitingSound
from service.dial_plan import Rule
from service.invitations import INVITATION_LIFETIME
from service.store.invitations import MAX_OPEN
from service.store.room_index import RoomView
from tests.api.schema_check import DOC, SCHEMAS, check, operations, resolved


def test_every_route_and_method_is_described_and_the_other_way_round() -> None:
    routed = {(method, resource.template) for resource in RESOURCES for method in resource.operations}
    assert routed == set(operations())


def test_scopes_and_query_parameters_are_those_of_the_routes() -> None:
    for resource in RESOURCES:
        for method, operation in resource.operations.items():
            described = operations()[method, resource.template]
            security = [{"key": [operation.scope]}] if operation.scope else []
            assert described["security"] == security
            if operation.scope:
                assert f"Scope `{operation.scope}`" in described["description"]
            parameters = [resolved(one) for one in described.get("parameters", [])]
            assert {one["name"] for one in parameters if one["in"] == "query"} == operation.query_parameters
            assert {"401", "403", "503"} <= set(described["responses"]) or not operation.scope
    assert queries.PARAMETERS


def test_path_parameters_are_declared() -> None:
    for path, item in DOC["paths"].items():
        names = {resolved(one)["name"] for one in item.get("parameters", [])}
        assert names == {part.strip("{}") for part in path.split("/") if part.startswith("{")}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (SCHEMAS["State"], Status),
        (SCHEMAS["Direction"], Direction),
        (SCHEMAS["Outcome"]["properties"]["blame"], Blame),
        (SCHEMAS["Interconnect"], InterconnectMode),
        (SCHEMAS["Call"]["properties"]["interconnect"], InterconnectMode),
        (SCHEMAS["Alone"]["properties"]["then"], AloneAction),
    ],
)
def test_words_are_those_of_the_code(schema: dict[str, Any], words: type[StrEnum]) -> None:
    assert [word for word in schema["enum"] if word is not None] == [str(word) for word in words]


def test_words_that_are_spread_over_variants_are_those_of_the_code() -> None:
    for name, field, words in (("Waiting", "sound", WaitingSound), ("MachineDetection", "then", OnMachine)):
        variants = SCHEMAS[name]["anyOf"]
        assert [word for one in variants for word in one["properties"][field]["enum"]] == list(words)
    rules = SCHEMAS["RuleProblem"]["allOf"][1]["properties"]["rule"]["enum"]
    assert set(rules) == {*typing.get_args(Rule), "calls-per-hour"}
    scopes = SCHEMAS["ScopeProblem"]["allOf"][1]["properties"]["scope"]["enum"]
    assert tuple(scopes) == SCOPES


BODIES: Final[dict[str, type[msgspec.Struct]]] = {
    "NewCall": bodies.DialBody,
    "Join": bodies.JoinBody,
    "Transfer": bodies.TransferBody,
    "Subscriptions": bodies.SubscriptionsBody,
    "NewInvitation": bodies.InvitationBody,
    "NewParticipant": bodies.ParticipantBody,
    "ParticipantSubscriptions": bodies.ParticipantSubscriptionsBody,
    "Streams": bodies.StreamsBody,
    "RoomSettings": bodies.RoomBody,
    "Alone": bodies.AloneBody,
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_have_the_described_fields(name: str) -> None:
    fields = msgspec.structs.fields(BODIES[name])
    assert {field.encode_name for field in fields} == set(SCHEMAS[name]["properties"])
    assert {field.encode_name for field in fields if field.required} == set(SCHEMAS[name].get("required", []))
    assert SCHEMAS[name]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("name", "body"), [("Waiting", bodies.WaitingBody), ("MachineDetection", bodies.MachineDetectionBody)]
)
def test_variants_have_the_described_fields(name: str, body: type[msgspec.Struct]) -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(body)}
    for variant in SCHEMAS[name]["anyOf"]:
        assert set(variant["properties"]) == fields
        assert variant["additionalProperties"] is False


def test_a_call_has_the_described_fields_and_all_of_them() -> None:
    call = Call(
        ref="p01-" + "a" * 20,
        call_id="",
        direction=Direction.INBOUND,
        room="sales",
        created_at=1.0,
        phone=Phone.UP,
    )
    view = call_view(call, numbers=False)
    assert list(view) == list(SCHEMAS["Call"]["properties"]) == SCHEMAS["Call"]["required"]
    check(SCHEMAS["Call"], msgspec.to_builtins(view))


def test_a_room_has_the_described_fields_and_all_of_them() -> None:
    room = RoomView(
        name="x", epoch=0, session_id="", opened=0, members=(), waiting=(), settings=RoomSettings()
    )
    view = room_view(room, now=1.0, pins=True)
    assert list(view) == list(SCHEMAS["Room"]["properties"]) == SCHEMAS["Room"]["required"]
    assert list(view["settings"]) == list(SCHEMAS["RoomSettings"]["properties"])
    check(SCHEMAS["Room"], msgspec.to_builtins(view))


def contents() -> list[tuple[str, dict[str, Any]]]:
    """Every body in the document, of requests and responses, with where it is."""
    found = []
    for (method, path), operation in operations().items():
        answers = {f" {status}": resolved(one) for status, one in operation["responses"].items()}
        for name, message in {" body": resolved(operation.get("requestBody", {})), **answers}.items():
            found += [(f"{method} {path}{name}", one) for one in message.get("content", {}).values()]
    return found


@pytest.mark.parametrize(("where", "content"), contents(), ids=[where for where, _ in contents()])
def test_every_body_has_examples_that_fit(where: str, content: dict[str, Any]) -> None:
    assert content["examples"], where
    for example in content["examples"].values():
        check(content["schema"], resolved(example)["value"])


def test_numbers_in_words_are_those_of_the_code() -> None:
    paths = DOC["paths"]
    for what, method in (("invitations", "get"), ("invitations", "post"), ("visits", "get")):
        words = paths[f"/api/v1/rooms/{{room}}/{what}"][method]["description"]
        assert f"{MAX_OPEN} invitations and visits" in words, (what, method)
    expires = SCHEMAS["NewInvitation"]["properties"]["expiresIn"]
    assert (expires["maximum"], f"{DEFAULT_LIFETIME:.0f} by default" in expires["description"]) == (
        INVITATION_LIFETIME,
        True,
    )


def test_examples_of_requests_are_taken() -> None:
    for (method, path), operation in operations().items():
        if "requestBody" not in operation:
            continue
        content = resolved(operation["requestBody"])["content"]["application/json"]
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        for example in content["examples"].values():
            body = convert_body(example["value"], BODIES.get(name, bodies.EmptyBody))
            assert msgspec.to_builtins(body) == example["value"], (method, path)


def test_examples_of_problems_are_problems_of_ours() -> None:
    for name, example in DOC["components"]["examples"].items():
        if "title" in example["value"]:
            problem = example["value"]
            kind = PROBLEM_KINDS[problem["type"].rpartition(":")[2]]
            assert (kind.status, kind.title) == (problem["status"], problem["title"]), name


def test_problems_with_members_of_their_own_are_told_apart_by_their_type() -> None:
    """As an enum: generators do not merge a `const` with the string that it narrows."""
    for name, schema in SCHEMAS.items():
        if name.endswith("Problem") and name != "Problem":
            [kind] = schema["allOf"][1]["properties"]["type"]["enum"]
            assert kind.removeprefix("urn:pstn-bridge:problem:") in PROBLEM_KINDS, name


def test_every_problem_has_its_status_somewhere() -> None:
    described = {status for operation in operations().values() for status in operation["responses"]}
    assert {str(kind.status) for kind in PROBLEM_KINDS.values()} - described == {"405", "410"}, (
        "410 is told to pages only"
    )


def test_parameters_have_examples_that_fit() -> None:
    for operation in operations().values():
        for parameter in map(resolved, operation.get("parameters", [])):
            check(parameter["schema"], parameter["example"])
    for parameter in DOC["components"]["parameters"].values():
        values = [one["value"] for one in parameter.get("examples", {}).values()]
        for value in values or [parameter["example"]]:
            check(parameter["schema"], value)


def test_what_is_referred_to_is_there_and_what_is_there_is_referred_to() -> None:
    text = msgspec.json.encode(DOC).decode()
    for kind, components in DOC["components"].items():
        for name in components:
            assert kind == "securitySchemes" or f'"#/components/{kind}/{name}"' in text, name
    for part in text.split('"$ref":"')[1:]:
        resolved({"$ref": part.partition('"')[0]})


def test_a_problem_that_is_told_is_one_of_the_list() -> None:
    with pytest.raises(KeyError):
        Problem("made-up", "")
