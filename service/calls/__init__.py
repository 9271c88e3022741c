"""The functional core: what a call is and what it does next. No clock, no ids, no network in here."""
