-- What tells a partition that has kept all it was told from one that was emptied or put back to an earlier state:
-- an id, and when somebody looked last, by the time that replicas share. `found` and `stands`:
-- that time as it was found, and as it stands there now, in milliseconds; where there was none, `fresh` is put there as
-- the id, and `found` is 0.
-- returns: 3: id, found, stands
-- keys: marker
-- args: now fresh every life
now = tonumber(now)
local id, at = string.match(redis.call('GET', marker) or '', '^(%S+) (%d+)$')
local found = tonumber(at or '0')
if id and now - found < tonumber(every) then return {id, found, found} end
local stands = math.max(now, found)
redis.call('SET', marker, string.format('%s %d', id or fresh, stands), 'PX', life)
return {id or fresh, found, stands}
