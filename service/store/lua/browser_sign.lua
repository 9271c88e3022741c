-- Something was heard of a browser: a beat, or that its device has connected or lost its connection. One that is
-- lost may come back, and is looked after in `absent` milliseconds; so is one that has beaten for the first time, since
-- from then on silence means something.
-- `told`: milliseconds at Bandwidth of what it tells, 0 for what it does not: a copy that comes late says nothing.
-- returns: 1 if the browser has its seat, else 0
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now seat sign told absent owner name ttl
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
local phase = seat_read(at, seat)
if phase ~= 'in' and phase ~= 'reserved' then return 0 end

local seen = redis.call('HGET', room, 'seen:' .. seat) or ''
local taken, beat, connected, lost = string.match(seen, '^(%d+) (%d+) (%d+) (%d+)$')
if taken == nil then return 0 end
if told ~= '0' then
  if tonumber(redis.call('HGET', room, 'told:' .. seat) or '0') > tonumber(told) then return 1 end
  redis.call('HSET', room, 'told:' .. seat, told)
end
local first = beat == '0' and sign == 'beat'
if sign == 'beat' then beat = now elseif sign == 'connected' then connected = now else lost = now end
redis.call('HSET', room, 'seen:' .. seat, table.concat({taken, beat, connected, lost}, ' '))
if first or sign == 'disconnected' then seat_look_later(at, seat, at.now + absent) end
room_keep(at, ttl)
return 1
