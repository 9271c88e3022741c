"""The operator API: what may be asked of calls and rooms over HTTP, described in `openapi.json`."""
