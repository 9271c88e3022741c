-- Keep a room's settings; none at all is the default.
-- returns: text or nil: the settings that were kept before
-- keys: settings configured
-- args: name value
local before = redis.call('GET', settings)
if value == '' then
  redis.call('DEL', settings)
  redis.call('SREM', configured, name)
else
  redis.call('SET', settings, value)
  redis.call('SADD', configured, name)
end
return before
