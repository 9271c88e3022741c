-- A call of which nothing was heard for long, and which lives.
-- keys: call events timeline standing
-- args: ttl ref step
for _, key in ipairs({call, events, timeline}) do redis.call('PEXPIRE', key, ttl) end
local stands, until_ = redis.call('ZSCORE', standing, ref), redis.call('PEXPIRETIME', call)
if stands and until_ > 0 then
  redis.call('ZADD', standing, math.floor(stands / step) * step + until_, ref)
  redis.call('PEXPIRE', standing, ttl)
end
return 1
