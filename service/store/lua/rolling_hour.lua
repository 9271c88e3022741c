-- Shared by scripts that count what was done in the hour that has just passed. `counted` is a sorted set of names by
-- the time at which each was counted; a name counts once. Times are in milliseconds.
-- returns: library

-- In milliseconds.
local HOUR = 3600000

-- How long until one more fits below `limit`; 0 when it does already.
local function hour_wait(counted, limit, now)
  redis.call('ZREMRANGEBYSCORE', counted, '-inf', now - HOUR)
  local over = redis.call('ZCARD', counted) - limit
  if over < 0 then return 0 end
  local leaves = redis.call('ZRANGE', counted, over, over, 'WITHSCORES')[2]
  return leaves and leaves + HOUR - now or HOUR -- a limit of 0 is never met
end

local function hour_has(counted, name)
  return redis.call('ZSCORE', counted, name) ~= false
end

local function hour_add(counted, name, now)
  redis.call('ZADD', counted, 'NX', now, name)
  redis.call('PEXPIRE', counted, HOUR)
end

-- What was counted never was.
local function hour_take_back(counted, name)
  redis.call('ZREM', counted, name)
end
