-- Have an effect done from now on, whatever it waits for. A worker that is at this owner does so at its next look; what
-- comes of a try that is under way counts no more.
-- returns: 1 if it was owed, else 0
-- uses: owed
-- keys: owed agenda
-- args: now owner id
local value = redis.call('HGET', owed, id)
if not value then return 0 end
local seq, _, lane, tries, since, effect = owed_parse(value)
if seq then
  redis.call('HSET', owed, id, string.format('%d %d %s %d %d %s', seq, now, lane, tries, since, effect))
end
local _, leased = owed_lease(owed)
if leased <= tonumber(now) then redis.call('ZADD', agenda, now, owner) end
return 1
