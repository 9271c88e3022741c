-- A call among those that are up, if there are fewer than `limit`; asked again it is still the same one.
-- returns: 1 if the call is among them, else 0
-- keys: up
-- args: name limit now ttl
if not redis.call('ZSCORE', up, name) then
  if redis.call('ZCARD', up) >= tonumber(limit) then return 0 end
  redis.call('ZADD', up, now, name)
end
redis.call('PEXPIRE', up, ttl)
return 1
