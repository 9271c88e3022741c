-- The rooms of a partition that are live or have settings; who is on the index and is gone is taken off.
-- `rooms` is what the keys of rooms begin with: which there are is not known before. They are in the same slot.
-- returns: list of 1: room
-- keys: configured live
-- args: rooms
local names = redis.call('SMEMBERS', configured)
for _, name in ipairs(redis.call('SMEMBERS', live)) do
  if redis.call('EXISTS', rooms .. name) == 1 then
    names[#names + 1] = name
  else
    redis.call('SREM', live, name)
  end
end
return names
