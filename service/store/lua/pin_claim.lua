-- Digits for a room, unless another room has them. A claim is "<room> <ms>"; `stale` is one that may be taken over.
-- returns: text: the claim of another room, or empty
-- keys: pin
-- args: now name stale
local held = redis.call('GET', pin)
if held and held ~= stale and string.match(held, '^%S+') ~= name then return held end
redis.call('SET', pin, name .. ' ' .. now)
return ''
