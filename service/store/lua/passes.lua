-- Shared by the scripts of invitations and visits. Those of a room that are open are in one hash, as JSON under
-- "invitation:<id>" and "visit:<id>", and in a sorted set by the time at which they run out. It is what an operator
-- is shown; what says that one is over are marks of their own, and the time at which the room was closed last.
-- returns: library

local ENDED = '-'

local function passes_closed(closed)
  return tonumber(string.match(redis.call('GET', closed) or '0', '^%d+'))
end

-- Returns 1 if it was there.
local function passes_drop(passes, ends, field)
  redis.call('ZREM', ends, field)
  return redis.call('HDEL', passes, field)
end

-- What has run out goes when something comes; some at a time, so that nothing waits for long.
local function passes_prune(passes, ends, now)
  for _, field in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 100)) do
    passes_drop(passes, ends, field)
  end
end

local function passes_add(passes, ends, field, record, till, life)
  redis.call('HSET', passes, field, record)
  redis.call('ZADD', ends, till, field)
  redis.call('PEXPIRE', passes, life)
  redis.call('PEXPIRE', ends, life)
end
