-- What time it is for all replicas, in milliseconds (clock.lua). `instead`: another offset, unless somebody else has
-- changed it meanwhile; empty to leave it.
-- returns: 4: server, offset, gap, previous
-- uses: clock
-- keys: clock
-- args: was instead
return clock_ask(clock, was, instead)
