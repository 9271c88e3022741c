-- Owners with due work, each put off for as long as a worker may take to begin, so that no other takes them
-- meanwhile and somebody does should this one die. Half of them are those that have become due last: a backlog of
-- hours is worked off beside what comes up now, and not before it. So are those whose work was `offered`, as others did
-- not know its kind ("<kind> <owner>"), where it is among our `kinds`; for others of it no time has come.
-- returns: list of 1: owner
-- keys: agenda offered
-- args: now lease limit kinds
-- Offers that are looked at in one claim.
local OFFERS = 1000
local owners = {}
local function take(found)
  for _, owner in ipairs(found) do
    if redis.call('ZADD', agenda, 'XX', 'CH', now + lease, owner) == 1 then owners[#owners + 1] = owner end
  end
end
take(redis.call('ZREVRANGEBYSCORE', agenda, now, '-inf', 'LIMIT', 0, math.floor(limit / 2)))
take(redis.call('ZRANGEBYSCORE', agenda, '-inf', now, 'LIMIT', 0, limit - #owners))
for _, mark in ipairs(redis.call('ZRANGE', offered, 0, OFFERS - 1)) do
  local kind, owner = string.match(mark, '^(%S*) (.*)$')
  if string.find(kinds, ' ' .. kind .. ' ', 1, true) then
    redis.call('ZREM', offered, mark)
    take({owner})
  end
end
return owners
