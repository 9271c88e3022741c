-- The room's session was not found at Bandwidth, which may not be the truth: until `till` nobody new is sent into it,
-- and `effect` is owed, which looks again; once at a time. With `till` 0 the doubt is over.
-- returns: 1 if it is the room's session, else 0
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now owner name session till due effect
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
if redis.call('HGET', room, 'session') ~= session then return 0 end
if till == '0' then
  redis.call('HDEL', room, 'doubt')
  return 1
end
redis.call('HSET', room, 'doubt', session .. ' ' .. till)
local id = 'check-session:' .. session
if redis.call('HEXISTS', owed, id) == 0 then
  owed_add(owed, agenda, owner, at.now, id, tonumber(due), id, effect)
end
return 1
