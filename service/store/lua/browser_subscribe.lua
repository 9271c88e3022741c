-- Whom a browser hears from now on: kept with its seat, for the case that it is put into another session, and owed
-- to Bandwidth.
-- returns: 1 if the browser is in its seat, else 0
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now seat browser effect owner name
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
if seat_read(at, seat) ~= 'in' then return 0 end
redis.call('HSET', room, 'web:' .. seat, browser)
owed_add(owed, agenda, owner, at.now, 'subscribe:' .. seat, at.now, seat, effect)
return 1
