-- What is told of a room to whoever looks on; it needs `rooms` and `news`, and the key news in `at`.

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
