-- The room's session is near the end of its life: put a new one in its place, once, and move everybody over. The
-- old one stays for a while, so that nobody is cut off before being moved. Where the room has another
-- session by now, the new one is owed for deletion.
-- returns: 1 if the new session is the room's, else 0
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now old made grace owner name ttl roll_over check stock limit
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
local session = redis.call('HGET', room, 'session')
if session == made then return 1 end
if session ~= old then
  session_discard(at, made)
  return 0
end

stock_drop_all(at)
session_publish(at, made, roll_over, check)
for _, one in ipairs((room_people(room))) do
  if one.phase == 'in' then
    -- Under an id of its own: leaving in the meantime owes the removal from the new session as well.
    room_owe(at, 'remove-participant:' .. one.seat .. ':' .. old, at.now, one.seat, {
      type = 'remove-participant', seat = one.seat, session_id = old, participant_id = one.participant})
    seat_add_again(at, one.seat, made, one.participant)
  end
end
session_delete(at, old, at.now + grace)
stock_want(at, stock, limit)
room_keep(at, ttl)
return 1
