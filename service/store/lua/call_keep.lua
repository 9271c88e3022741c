-- A call of which nothing was heard for long, and which lives.
-- keys: call events timeline
-- args: ttl
for _, key in ipairs({call, events, timeline}) do redis.call('PEXPIRE', key, ttl) end
return 1
