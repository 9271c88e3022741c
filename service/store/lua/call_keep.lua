-- A call of which nothing was heard for long, and which lives.
-- returns: nothing
-- keys: call events timeline standing
-- args: now ttl ref step
local lives = redis.call('PEXPIRE', call, ttl) == 1
for _, key in ipairs({events, timeline}) do redis.call('PEXPIRE', key, ttl) end
local stands = redis.call('ZSCORE', standing, ref)
if stands and lives then
  redis.call('ZADD', standing, math.floor(stands / step) * step + now + ttl, ref)
  redis.call('PEXPIRE', standing, ttl)
end
return 1
