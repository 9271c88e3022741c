"""`pstn-bridge key`: a new key of the operator API, and the entry by which the service knows it."""

import sys
from typing import Annotated, Final

import typer

from handlers.cli.options import AsJson, application
from handlers.cli.printing import show_json
from service.api_keys import SCOPES, generate_key, make_entry

_HELP: Final = f"""\
Make a key of the operator API, and its entry in API_KEYS.

The key is shown once and not kept: give it to the client that will use it. The
service needs the entry only, which has a digest (SHA-256) and opens nothing.
Quote the entry in a shell, which would take its $ for a variable. This command
changes nothing, and reads neither settings nor store.

\b
Scopes: {", ".join(SCOPES)}
  read      list calls and rooms, with numbers masked; live events
  dial      place calls
  control   hold, move, transfer, hang up; rooms, participants, invitations
  numbers   see whole numbers

\b
Examples:
  pstn-bridge key crm
  pstn-bridge key crm --scopes read+dial+control
  (umask 077; pstn-bridge key crm --json > crm.json)

\b
To change a key without an interruption:
  1. add the new entry to API_KEYS, with a comma, and restart the replicas one
     after the other: both keys are valid
  2. use the new key; api.answered in the log has the name of each, and its
     place in API_KEYS (key_entry)
  3. remove the old entry and restart again
Meanwhile two entries may have one name, with the same scopes.
"""
_WANTS: Final = f"NAME wants 1 to 32 of a-z 0-9 -, and --scopes some of {', '.join(SCOPES)}, joined by +"

app = application()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name in logs: 1 to 32 of a-z 0-9 -.")]
Scopes = Annotated[str, typer.Option("--scopes", metavar="SCOPE+...", help="What the key may do.")]


@app.command(help=_HELP)
def key(name: Name, *, scopes: Scopes = "read", json: AsJson = False) -> None:
    made = generate_key()
    granted = scopes.split("+")
    try:
        entry = make_entry(name, granted, made)
    except ValueError:
        raise typer.BadParameter(_WANTS) from None
    if json:
        show_json([{"name": name, "scopes": granted, "key": made, "entry": entry}])
        return
    sys.stdout.write(
        f"The key, for whoever is to use it; it is shown this once:\n  {made}\n"
        f"Its entry in API_KEYS, in quotes where a shell reads it:\n  {entry}\n"
    )
