-- Digits that a room has no more, unless they are another's by now or have been claimed anew since.
-- returns: nothing
-- keys: pin
-- args: now name
local holder, since = string.match(redis.call('GET', pin) or '', '^(%S+) (%d+)$')
if holder == name and tonumber(since) <= tonumber(now) then redis.call('DEL', pin) end
return 1
