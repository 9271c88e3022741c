-- Calls of a partition, newest first: all that began at the very time `tie`, where one is given, and the newest of
-- those that began before `below` and not before `above`. `began` in milliseconds.
-- returns: list of 2: ref, began
-- reads
-- keys: calls
-- args: tie below above limit
local found = {}
if tie ~= '' then found = redis.call('ZREVRANGEBYSCORE', calls, tie, tie, 'WITHSCORES') end
for _, part in ipairs(redis.call('ZREVRANGEBYSCORE', calls, below, above, 'WITHSCORES', 'LIMIT', 0, tonumber(limit))) do
  found[#found + 1] = part
end
return found
