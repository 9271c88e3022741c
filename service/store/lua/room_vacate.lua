-- A member leaves. An empty seat is free at once; one with a participant is free after it has been taken down:
-- out of the session, deleted, and the seat last, so that the session outlives everybody in it.
-- A seat without a participant is marked, so that a reservation which comes late, from a slow replica or sent
-- again, is told that it is gone.
-- Returns 1 if work is owed, 0 if not.
-- uses: owed seats
-- keys: room left owed agenda
-- args: now seat owner name left_ttl
now = tonumber(now)
local field = 'seat:' .. seat
local phase, participant = string.match(redis.call('HGET', room, field) or '', '^(%S+) (%S+)$')
if phase == 'leaving' then return 1 end
if phase ~= 'in' then redis.call('SET', left, 1, 'PX', left_ttl) end
if phase == nil then return 0 end
if phase == 'reserved' then
  seat_free(room, owed, agenda, owner, now, seat)
  return 1
end
redis.call('HSET', room, field, 'leaving ' .. participant)
local session = redis.call('HGET', room, 'session')
local function owe(id, effect)
  owed_add(owed, agenda, owner, now, id .. ':' .. seat, now, seat, cjson.encode(effect))
end
if session then
  owe('remove-participant', {
    type = 'remove-participant', seat = seat, session_id = session, participant_id = participant})
end
owe('delete-participant', {type = 'delete-participant', seat = seat, participant_id = participant})
owe('free-seat', {type = 'free-seat', room = name, seat = seat})
return 1
