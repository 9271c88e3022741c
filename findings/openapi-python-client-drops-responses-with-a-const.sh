#!/usr/bin/env bash
# openapi-python-client 0.29.1: a response is left out when one of its schemas narrows a string with a `const`.
#
# OpenAPI 3.1 lets allOf narrow a property of a base schema: the base says `type: string`, the derived one `const`. The
# generator cannot merge the two. It removes the derived schema, and with it every response that names it in a union,
# also the members that it could read; it says so in a warning and ends with 0. What the service then answers with that
# status is parsed into None. An `enum` of one value says the same, and is merged.
#
# Seen (422 is anyOf two schemas that are allOf a base with a string):
#   const: exit 0, warnings yes, models Base, Other; a 422 is parsed into None
#   enum: exit 0, warnings no, models Base, Narrowed, NarrowedKind, Other; a 422 is parsed into Narrowed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openapi-python-client==0.29.1
cat > "$folder/try.py" <<'PY'
import importlib
import json
import subprocess
import sys

import httpx

REF = "#/components/schemas/"


def document(narrow):
    base = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    other = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    one_of_them = {"anyOf": [{"$ref": REF + "Other"}, {"$ref": REF + "Narrowed"}]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "paths": {
            "/things": {
                "get": {
                    "operationId": "getThing",
                    "responses": {
                        "200": {"description": "it", "content": {"application/json": {"schema": {"$ref": REF + "Base"}}}},
                        "422": {"description": "no", "content": {"application/json": {"schema": one_of_them}}},
                    },
                }
            }
        },
        "components": {
            "schemas": {
                "Base": base,
                "Other": other,
                "Narrowed": {"allOf": [{"$ref": REF + "Base"}, {"type": "object", "properties": {"kind": narrow}}]},
            }
        },
    }


def try_with(name, narrow):
    with open(f"{name}.json", "w") as file:
        json.dump(document(narrow), file)
    with open("config.yaml", "w") as file:
        file.write("post_hooks: []\n")
    command = "-m openapi_python_client generate --meta none --config config.yaml"
    command += f" --path {name}.json --output-path client_{name}"
    ran = subprocess.run([sys.executable, *command.split()], capture_output=True, text=True)
    warned = "yes" if "Warning(s) encountered" in ran.stdout + ran.stderr else "no"
    models = importlib.import_module(f"client_{name}.models").__all__
    operation = importlib.import_module(f"client_{name}.api.default.get_thing")
    client = importlib.import_module(f"client_{name}").Client(base_url="http://x")
    answer = httpx.Response(422, json={"kind": "narrow"})
    parsed = type(operation._parse_response(client=client, response=answer)).__name__
    parsed = "None" if parsed == "NoneType" else parsed
    print(f"{name}: exit {ran.returncode}, warnings {warned}, models {', '.join(models)}; a 422 is parsed into {parsed}")


try_with("const", {"const": "narrow"})
try_with("enum", {"type": "string", "enum": ["narrow"]})
PY
(cd "$folder" && "$folder/venv/bin/python" try.py) | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
const: exit 0, warnings yes, models Base, Other; a 422 is parsed into None
enum: exit 0, warnings no, models Base, Narrowed, NarrowedKind, Other; a 422 is parsed into Narrowed
SEEN
