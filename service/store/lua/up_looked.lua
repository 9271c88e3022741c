-- What was seen of calls that were up: `over` are so no more, `live` are, at `now`. Both are names with blanks between.
-- returns: nothing
-- keys: up
-- args: over live now
for name in over:gmatch('%S+') do redis.call('ZREM', up, name) end
for name in live:gmatch('%S+') do redis.call('ZADD', up, 'XX', now, name) end
return 1
