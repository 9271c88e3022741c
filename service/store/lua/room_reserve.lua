-- Take a seat before anything is requested; who would be the only one, and may wait outside until somebody comes,
-- is written down as waiting instead. Returns {answer, value, settings}: 'seated' and the session or '', 'full' and
-- the members, 'empty', or 'gone' for a seat that has been given up already.
-- `browser` is what is kept of one, empty for a call: who it was made for may never come, so that it is looked
-- after in `unused` milliseconds.
-- uses: owed rooms
-- keys: room live settings left owed agenda
-- args: now seat waits limit owner name ttl browser unused
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
local rules, text = room_settings(settings)
local ref = seat_ref(seat)

local function others_are_there()
  local seats, waiters = room_people(room)
  for _, one in ipairs(seats) do
    if one.phase == 'in' and seat_ref(one.seat) ~= ref then return true end
  end
  for _, one in ipairs(waiters) do
    if one.ref ~= ref then return true end
  end
  return false
end

local phase = seat_read(at, seat)
if phase == 'leaving' or phase == 'closing' then return {'gone', '', ''} end
if phase == nil then
  if redis.call('EXISTS', left) == 1 then return {'gone', '', ''} end
  if waits == '1' and rules.waiting and not others_are_there() then
    redis.call('HSET', room, 'waiter:' .. ref, seat)
    room_keep(at, ttl)
    return {'empty', '', text}
  end
  local members = tonumber(redis.call('HGET', room, 'members') or '0')
  if members >= math.min(tonumber(limit), rules.limit or tonumber(limit)) then
    return {'full', tostring(members), ''}
  end
  redis.call('HSET', room, 'seat:' .. seat, 'reserved -')
  redis.call('HINCRBY', room, 'members', 1)
  redis.call('HSETNX', room, 'began', at.now)
  redis.call('HDEL', room, 'waiter:' .. ref)
  if browser ~= '' then
    redis.call('HSET', room, 'web:' .. seat, browser, 'seen:' .. seat, now .. ' 0 0 0')
    seat_look_later(at, seat, at.now + unused)
  end
end
room_keep(at, ttl)
return {'seated', redis.call('HGET', room, 'session') or '', text}
