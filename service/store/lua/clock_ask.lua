-- What time it is for all replicas: {server's time, offset, gap, when it was asked before}. `instead`: another offset, unless somebody else has
-- changed it meanwhile; empty to leave it.
-- uses: clock
-- keys: clock
-- args: was instead
return clock_ask(clock, was, instead)
