-- A participant takes its reserved seat, and the session that was made for it becomes the room's, unless another
-- caller was first. The answer is 'in', or 'gone' with '' for the session when the seat was given up
-- meanwhile. `owes`: 1 if a worker has something to do now, else 0.
-- What is not used is owed for deletion in the same step, unless the participant is to live on in another room.
-- Everybody who waits outside is told that somebody has come.
-- returns: 3: answer, session, owes
-- uses: owed rooms news room_news
-- keys: room live owed agenda news
-- args: now seat participant keep made owner name ttl roll_over check stock limit
local at = {
  room = room, live = live, owed = owed, agenda = agenda, news = news, owner = owner, name = name, now = tonumber(now)}
local phase, sitting = seat_read(at, seat)

if phase ~= 'reserved' and not (phase == 'in' and sitting == participant) then
  if keep == '0' then
    room_owe(at, 'delete-participant:' .. participant, at.now, participant, {
      type = 'delete-participant', seat = seat, participant_id = participant})
  end
  session_discard(at, made)
  return {'gone', '', 1}
end

if phase == 'reserved' then
  -- Owed for the case that whoever made them did not live to bring them here.
  room_call_off(at, {'delete-participant:' .. participant})
  if made ~= '' then room_call_off(at, {'delete-session:' .. made}) end
  seat_settle(at, seat, participant)
end

if made ~= '' and redis.call('HEXISTS', room, 'session') == 0 then
  session_publish(at, made, roll_over, check)
else
  session_discard(at, made)
end
stock_want(at, stock, limit)
room_keep(at, ttl)
return {'in', redis.call('HGET', room, 'session') or '', at.owes and 1 or 0}
