-- An invitation is written down, unless `most` are open in the room. When the room was closed last is what it has to
-- know of.
-- returns: number: milliseconds at which the room was closed last, 0 for never, -1 if too many are open
-- uses: passes
-- keys: passes ends closed
-- args: now field record till life most
passes_prune(passes, ends, now)
if redis.call('HEXISTS', passes, field) == 0 and redis.call('ZCARD', ends) >= tonumber(most) then return -1 end
passes_add(passes, ends, field, record, till, life)
return passes_closed(closed)
