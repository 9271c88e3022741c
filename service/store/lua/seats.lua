-- Giving seats up; shared by the scripts that do.

-- Take the seat out of the room. With the last one the room's session is owed for deletion.
local function seat_free(room, owed, agenda, owner, now, seat)
  if redis.call('HDEL', room, 'seat:' .. seat) == 0 then return end
  if redis.call('HINCRBY', room, 'members', -1) > 0 then return end
  local session = redis.call('HGET', room, 'session')
  redis.call('DEL', room)
  if session then
    owed_add(owed, agenda, owner, now, 'delete-session:' .. session, now, session,
      cjson.encode({type = 'delete-session', session_id = session}))
  end
end
