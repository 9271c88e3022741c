-- Forget an owed effect; what is behind it in its lane goes on at once.
-- returns: 1 if it was owed, else 0
-- uses: owed
-- keys: owed agenda
-- args: now owner id
if redis.call('HEXISTS', owed, id) == 0 then return 0 end
owed_cancel(owed, agenda, owner, tonumber(now), {id})
local _, leased = owed_lease(owed)
if leased <= tonumber(now) then redis.call('ZADD', agenda, 'XX', 'LT', now, owner) end
return 1
