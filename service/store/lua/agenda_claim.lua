-- Owners with due work, each put off for as long as a worker may take to begin, so that no other takes them
-- meanwhile and somebody does should this one die. Half of them are those that have become due last: a backlog of
-- hours is worked off beside what comes up now, and not before it.
-- keys: agenda
-- args: now lease limit
local owners = {}
local function take(found)
  for _, owner in ipairs(found) do
    redis.call('ZADD', agenda, 'XX', now + lease, owner)
    owners[#owners + 1] = owner
  end
end
take(redis.call('ZREVRANGEBYSCORE', agenda, now, '-inf', 'LIMIT', 0, math.floor(limit / 2)))
take(redis.call('ZRANGEBYSCORE', agenda, '-inf', now, 'LIMIT', 0, limit - #owners))
return owners
