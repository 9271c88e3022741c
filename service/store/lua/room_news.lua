-- What is told of a room to whoever looks on; it needs `rooms` and `news`, and the key news in `at`.
-- returns: library

-- `state`: in or left.
local function seat_tell(at, seat, participant, state)
  local told = {room = at.name, participantId = participant, kind = 'phone', call = seat_ref(seat),
    name = cjson.null, state = state}
  if seat_is_browser(seat) then
    local kept = cjson.decode(redis.call('HGET', at.room, 'web:' .. seat) or '{}')
    told.kind, told.call, told.name = 'browser', cjson.null, kept.name or cjson.null
  end
  news_add(at.news, at.now, 'participant', at.name, cjson.encode(told))
end

local function room_tell_closed(at)
  news_add(at.news, at.now, 'room', at.name, cjson.encode({room = at.name, state = 'closed'}))
end

-- Somebody is in: whoever was alone has company, and whoever waits outside is told.
local function seat_settle(at, seat, participant)
  redis.call('HSET', at.room, 'seat:' .. seat, 'in ' .. participant)
  seat_tell(at, seat, participant, 'in')
  if seat_is_browser(seat) then room_call_off(at, {'check-page'}) end
  local seats, waiters = room_people(at.room)
  for _, one in ipairs(seats) do
    -- Company for somebody, whether that one has been told or is about to be.
    if one.phase == 'in' and one.seat ~= seat then room_call_off(at, {'tell-alone'}) end
  end
  for _, one in ipairs(waiters) do
    if one.ref ~= seat_ref(seat) then
      redis.call('HDEL', at.room, 'waiter:' .. one.ref)
      local id = 'summon-waiter:' .. one.ref
      room_owe(at, id, at.now, id, {type = 'summon-waiter', room = at.name, ref = one.ref})
    end
  end
end
