-- Owners with due work, each put off for as long as a worker may take to begin, so that no other takes them
-- meanwhile and somebody does should this one die.
-- keys: agenda
-- args: now lease limit
local owners = redis.call('ZRANGEBYSCORE', agenda, '-inf', now, 'LIMIT', 0, tonumber(limit))
for _, owner in ipairs(owners) do redis.call('ZADD', agenda, 'XX', now + lease, owner) end
return owners
