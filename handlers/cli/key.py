"""`pstn-bridge key`: a new key of the operator API, and the entry by which the service knows it."""

import sys
from typing import Annotated, Final

import typer

from handlers.cli.options import AsJson, application
from handlers.cli.printing import show_json
from service.api_keys import SCOPES, generate_key, make_entry

_HELP: Final = f"""\
Make a key of the operator API, and its entry in API_KEYS.

The key is shown this once and kept nowhere: hand it to whoever is to use it.
The service wants the entry only, which holds a digest (SHA-256) and opens
nothing; quote it in a shell, which would take its $ for a variable. Nothing is
changed by this command, and neither settings nor store are looked at.

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
     after the other: both keys are good
  2. have the new key used; api.answered in the log says the name of each, and
     its place in API_KEYS (key_entry)
  3. take the old entry out and restart again
Two entries may have one name meanwhile, with the same scopes.
"""
_WANTS: Final = f"NAME wants 1 to 32 of a-z 0-9 -, and --scopes some of {', '.join(SCOPES)}, joined by +"

app = application()

Name = Annotated[str, typer.Argument(metavar="NAME", help="What logs call it: 1 to 32 of a-z 0-9 -.")]
Scopes = Annotated[str, typer.Option("--scopes", metavar="SCOPE+...", help="What it may do.")]


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
