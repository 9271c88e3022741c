-- What the scripts of rooms share; it needs `owed`. A room is one hash:
--   members, began    the seats of this life of the room, an epoch, and when it began
--   session, opened   its session, and since when
--   seat:<seat>       "<phase> <participant or ->"; phases: reserved, in, leaving. A leaving member still counts:
--                     until its seat is free it may still be in the session. A seat of an epoch that was closed is
--                     "closing <participant> <session or ->", and counts no more
--   closing:<session> how many of its seats are still to be freed
--   web:<seat>        what is kept of the browser whose seat it is, as JSON
--   seen:<seat>       "<taken> <beat> <connected> <disconnected>": what was heard of it, 0 for never
--   told:<seat>       when what Bandwidth told of it last had happened, by Bandwidth's clock
--   waiter:<ref>      the seat for which a call has asked that waits outside
--   stock:<participant>  "<coming or ready> <session> <until> <token or ->": made ahead, for a caller yet to come.
--                     Coming ones may or may not be in the session by now
--   doubt             "<session> <until>": it was not found at Bandwidth, and is being looked at
--   looked            when those out of stock are or were looked at last
--   given:<seat>      "<since> <participant> <token>": out of stock, kept for a while in case it is asked for again
-- `at` is the room that a script works on: keys room, live, owed, agenda, and owner, name, now.
-- returns: library

local function room_owe(at, id, due, lane, effect)
  -- Whether a worker has something to do here at once.
  if due <= at.now then at.owes = true end
  owed_add(at.owed, at.agenda, at.owner, at.now, id, due, lane, cjson.encode(effect))
end

local function room_call_off(at, ids)
  owed_cancel(at.owed, at.agenda, at.owner, at.now, ids)
end

-- Somebody is in the room or waits for it: keep it, and its name on the index.
local function room_keep(at, ttl)
  redis.call('PEXPIRE', at.room, ttl)
  redis.call('SADD', at.live, at.name)
  redis.call('PEXPIRE', at.live, ttl)
end

-- Take the name off the index unless somebody is in the room or waits for it.
local function room_unlist(at)
  for _, field in ipairs(redis.call('HKEYS', at.room)) do
    if field == 'members' or string.match(field, '^waiter:') then return end
  end
  redis.call('SREM', at.live, at.name)
end

-- As a table, and as they are kept.
local function room_settings(key)
  local text = redis.call('GET', key) or ''
  return text ~= '' and cjson.decode(text) or {}, text
end

-- All seats, and the calls that wait outside.
local function room_people(room)
  local seats, waiters = {}, {}
  local fields = redis.call('HGETALL', room)
  for i = 1, #fields, 2 do
    local kind, name = string.match(fields[i], '^(%a+):(.+)$')
    if kind == 'seat' then
      local phase, participant = string.match(fields[i + 1], '^(%S+) (%S+)')
      seats[#seats + 1] = {seat = name, phase = phase, participant = participant}
    elseif kind == 'waiter' then
      waiters[#waiters + 1] = {ref = name, seat = fields[i + 1]}
    end
  end
  return seats, waiters
end

-- Phase and participant of one seat, nil where there is none; the session too of one that is closing.
local function seat_read(at, seat)
  return string.match(redis.call('HGET', at.room, 'seat:' .. seat) or '', '^(%S+) (%S+) ?(%S*)$')
end

local function seat_ref(seat)
  return string.match(seat, '^(.+)%.[^.]*$')
end

-- Whether no phone call stands behind it.
local function seat_is_browser(seat)
  return string.match(seat, '^web%-') ~= nil
end

local function seat_look_later(at, seat, due)
  local id = 'check-presence:' .. seat
  room_owe(at, id, due, id, {type = 'check-presence', room = at.name, seat = seat})
end

-- What a seat has besides.
local function seat_forget(at, seat)
  redis.call('HDEL', at.room, 'seat:' .. seat, 'web:' .. seat, 'seen:' .. seat, 'told:' .. seat,
    'given:' .. seat)
  room_call_off(at, {'check-presence:' .. seat})
end

-- Whether a participant is or was moved to this seat from another room's; those have a number more.
local function seat_is_moved_to(seat)
  return string.match(seat, '%.%d+%-%d+$') ~= nil
end

-- In order: out of the session, deleted, and the seat last, so that the session outlives everybody in it. What the
-- seat's lane held for the time after a change of session would only bring the participant back.
local function seat_take_down(at, seat, session, participant)
  room_call_off(at, {'add-participant:' .. seat, 'subscribe:' .. seat, 'check-presence:' .. seat})
  if session then
    room_owe(at, 'remove-participant:' .. seat, at.now, seat, {
      type = 'remove-participant', seat = seat, session_id = session, participant_id = participant})
  end
  room_owe(at, 'delete-participant:' .. seat, at.now, seat, {
    type = 'delete-participant', seat = seat, participant_id = participant})
  room_owe(at, 'free-seat:' .. seat, at.now, seat, {type = 'free-seat', room = at.name, seat = seat})
end

local function seat_add_again(at, seat, session, participant)
  room_owe(at, 'add-participant:' .. seat, at.now, seat, {
    type = 'add-participant', room = at.name, seat = seat, session_id = session, participant_id = participant})
end

-- What it owes as long as it is the room's.
local function session_retire(at, session)
  room_call_off(at, {'replace-session:' .. session, 'check-room:' .. session, 'check-session:' .. session,
    'check-taken:' .. session})
end

local function session_delete(at, session, due)
  session_retire(at, session)
  room_owe(at, 'delete-session:' .. session, due, session, {type = 'delete-session', session_id = session})
end

-- What was made and is not used. The room's own is in use, and one that is being closed still has members.
local function session_discard(at, made)
  if made == '' or made == redis.call('HGET', at.room, 'session') then return end
  if redis.call('HEXISTS', at.room, 'closing:' .. made) == 1 then return end
  session_delete(at, made, at.now)
end

-- The room's session from now on: looked at after a while, and replaced before its age ends it.
local function session_publish(at, session, roll_over, check)
  redis.call('HSET', at.room, 'session', session, 'opened', at.now)
  redis.call('HDEL', at.room, 'doubt')
  -- Short, since every room owes them: what they are follows from their ids (outbox.py).
  room_owe(at, 'replace-session:' .. session, at.now + roll_over, 'replace', {type = '*'})
  room_owe(at, 'check-room:' .. session, at.now + check, 'check', {type = '*'})
end

-- All participants in stock, and those that were given away with the time at which that was.
local function stock_read(room)
  local stock, given = {}, {}
  local fields = redis.call('HGETALL', room)
  for i = 1, #fields, 2 do
    local kind, name = string.match(fields[i], '^(%a+):(.+)$')
    if kind == 'stock' then
      local state, session, till, token = string.match(fields[i + 1], '^(%S+) (%S+) (%d+) (%S+)$')
      stock[#stock + 1] = {participant = name, state = state, session = session, till = tonumber(till), token = token}
    elseif kind == 'given' then
      given[#given + 1] = {seat = name, since = tonumber(string.match(fields[i + 1], '^(%d+) '))}
    end
  end
  return stock, given
end

-- Out of stock, and of the session where that is known to be there. In the lane of the session, which may be deleted
-- next: so that it outlives everybody in it.
local function stock_drop(at, one, vanished)
  redis.call('HDEL', at.room, 'stock:' .. one.participant)
  room_call_off(at, {'replace-stock:' .. one.participant})
  if not vanished then
    room_owe(at, 'remove-participant:' .. one.participant, at.now, one.session, {
      type = 'remove-participant', seat = '', session_id = one.session, participant_id = one.participant})
  end
  room_owe(at, 'delete-participant:' .. one.participant, at.now, one.session, {
    type = 'delete-participant', seat = '', participant_id = one.participant})
end

local function stock_drop_all(at, vanished)
  for _, one in ipairs((stock_read(at.room))) do stock_drop(at, one, vanished) end
  room_call_off(at, {'stock-room'})
end

-- How many the room is short of. A session takes so many people, and people go before stock: it gives way while
-- there are still `margin` places, so that who comes in meanwhile does not meet one that is on its way out.
local STOCK_MARGIN = 4
local function stock_lacks(at, stock, limit)
  local session = redis.call('HGET', at.room, 'session')
  local members = tonumber(redis.call('HGET', at.room, 'members') or '0')
  if not session or members == 0 then return 0 end
  local have = 0
  for _, one in ipairs((stock_read(at.room))) do
    if one.session == session then have = have + 1 end
  end
  return math.min(tonumber(stock), tonumber(limit) - STOCK_MARGIN - members) - have
end

local function stock_want(at, stock, limit)
  if stock ~= '0' and stock_lacks(at, stock, limit) > 0 then
    room_owe(at, 'stock-room', at.now, 'stock-room', {type = 'stock-room', room = at.name})
  end
end

-- The end of an epoch. Who waits outside, and who is still being closed out, stays; with nobody left the hash is
-- empty and thereby gone. Returns the session.
local function epoch_end(at)
  local session = redis.call('HGET', at.room, 'session')
  stock_drop_all(at)
  redis.call('HDEL', at.room, 'members', 'began', 'session', 'opened', 'doubt', 'looked')
  room_unlist(at)
  return session
end

-- Take the seat out of the room. With the last one of its session the session is owed for deletion.
local function seat_free(at, seat)
  local phase, _, closing = seat_read(at, seat)
  if phase == nil then return end
  seat_forget(at, seat)
  if phase == 'closing' then
    if redis.call('HINCRBY', at.room, 'closing:' .. closing, -1) > 0 then return end
    redis.call('HDEL', at.room, 'closing:' .. closing)
    if closing ~= '-' then session_delete(at, closing, at.now) end
    return
  end
  if redis.call('HINCRBY', at.room, 'members', -1) > 0 then return end
  local session = epoch_end(at)
  if session then session_delete(at, session, at.now) end
end
