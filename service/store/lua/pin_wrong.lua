-- One more wrong PIN among those of an hour, which begins with the first; the same one again is not counted twice.
-- Beyond `most` they are all the same to us, and none is kept.
-- returns: number: wrong PINs of the hour
-- keys: wrong
-- args: once most hour
local counted = redis.call('SCARD', wrong)
if counted < tonumber(most) then
  redis.call('SADD', wrong, once)
  counted = redis.call('SCARD', wrong)
end
if redis.call('PTTL', wrong) < 0 then redis.call('PEXPIRE', wrong, hour) end
return counted
