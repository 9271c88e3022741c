-- The room's session has vanished at Bandwidth: put a new one in its place, once. Whoever comes second uses
-- the winner's and owes the deletion of its own. Every other member is owed a re-add.
-- The answer is 'in', or 'gone' with '' for the session when the seat was given up meanwhile: then there is nothing to
-- repair. `owes` is 1.
-- returns: 3: answer, session, owes
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now seat vanished made owner name ttl roll_over check stock limit
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
local phase = seat_read(at, seat)

if phase ~= 'in' or redis.call('HGET', room, 'session') ~= vanished then
  session_discard(at, made)
  if phase ~= 'in' then return {'gone', '', 1} end
  return {'in', redis.call('HGET', room, 'session') or '', 1}
end

room_call_off(at, {'replace-session:' .. vanished, 'check-room:' .. vanished})
stock_drop_all(at, true)
session_publish(at, made, roll_over, check)
for _, one in ipairs((room_people(room))) do
  if one.phase == 'in' and one.seat ~= seat then seat_add_again(at, one.seat, made, one.participant) end
end
stock_want(at, stock, limit)
room_keep(at, ttl)
return {'in', made, 1}
