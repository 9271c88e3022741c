-- A participant takes its reserved seat, and the session that was made for it becomes the room's, unless another
-- caller was first. Returns {'in', session}, or {'gone', ''} when the seat was given up meanwhile.
-- What is not used is owed for deletion in the same step, unless the participant is to live on in another room.
-- Everybody who waits outside is told that somebody has come.
-- uses: owed rooms news room_news
-- keys: room live owed agenda news
-- args: now seat participant keep made owner name ttl roll_over check
local at = {
  room = room, live = live, owed = owed, agenda = agenda, news = news, owner = owner, name = name, now = tonumber(now)}
local phase, sitting = seat_read(at, seat)

if phase ~= 'reserved' and not (phase == 'in' and sitting == participant) then
  if keep == '0' then
    room_owe(at, 'delete-participant:' .. participant, at.now, participant, {
      type = 'delete-participant', seat = seat, participant_id = participant})
  end
  session_discard(at, made)
  return {'gone', ''}
end

if phase == 'reserved' then
  -- Owed for the case that whoever made them did not live to bring them here.
  room_call_off(at, {'delete-participant:' .. participant})
  if made ~= '' then room_call_off(at, {'delete-session:' .. made}) end
  redis.call('HSET', room, 'seat:' .. seat, 'in ' .. participant)
  seat_tell(at, seat, participant, 'in')
  local seats, waiters = room_people(room)
  for _, one in ipairs(seats) do
    -- Company for somebody, whether that one has been told or is about to be.
    if one.phase == 'in' and one.seat ~= seat then room_call_off(at, {'tell-alone'}) end
  end
  for _, one in ipairs(waiters) do
    if one.ref ~= seat_ref(seat) then
      redis.call('HDEL', room, 'waiter:' .. one.ref)
      local id = 'summon-waiter:' .. one.ref
      room_owe(at, id, at.now, id, {type = 'summon-waiter', room = name, ref = one.ref})
    end
  end
end

if made ~= '' and redis.call('HEXISTS', room, 'session') == 0 then
  session_publish(at, made, roll_over, check)
else
  session_discard(at, made)
end
room_keep(at, ttl)
return {'in', redis.call('HGET', room, 'session') or ''}
