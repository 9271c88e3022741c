-- Owe a dead letter's effect again, from now on; only as long as it is there.
-- returns: 1 if the letter was there, else 0
-- uses: owed
-- keys: owed agenda dead
-- args: now letter owner id lane effect
if redis.call('ZREM', dead, letter) == 0 then return 0 end
owed_add(owed, agenda, owner, tonumber(now), id, tonumber(now), lane, effect)
return 1
