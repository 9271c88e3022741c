-- Take a seat before anything is requested; who would be the only one, and may wait outside until somebody comes,
-- is written down as waiting instead. The answer is
--   seated   the value is the session, or ''
--   stocked  the same, with participant and token: the room has somebody in stock and `takes` is set, so that the seat
--            is that one's at once
--   full     the value is the number of members; in place of the settings comes how many of them are going
--   empty    nobody is there, and the call waits outside
--   doubted  `heeds` is set and the session may have vanished
--   gone     the seat has been given up already
-- `browser` is what is kept of one, empty for a call: who it was made for may never come, so that it is looked
-- after in `unused` milliseconds.
-- `broke`: when the caller's way into the room broke, 0 where none has: for them it may have been closed since.
-- returns: 3 or 5: answer, value, settings, participant, token
-- uses: owed rooms news room_news
-- keys: room live settings left closed owed agenda news
-- args: now seat waits limit owner name ttl browser unused stock takes heeds broke
local at = {
  room = room, live = live, owed = owed, agenda = agenda, news = news, owner = owner, name = name, now = tonumber(now)}
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

-- Seats that will be free in a moment: of those whose leaving is owed, and older ones of the same call, which it has
-- given up. Those of a life of the room that was closed do not count in this one, and make no room in it.
local function going()
  local count = 0
  for _, one in ipairs((room_people(room))) do
    local own = ref and seat_ref(one.seat) == ref
    if one.phase ~= 'closing' and (one.phase == 'leaving' or own) then count = count + 1 end
  end
  return count
end

local function is_doubted()
  local session, till = string.match(redis.call('HGET', room, 'doubt') or '', '^(%S+) (%d+)$')
  return session ~= nil and session == redis.call('HGET', room, 'session') and tonumber(till) > at.now
end

-- Whether it is there is looked at beside the call, at most once in LOOK milliseconds for all of the room's.
local LOOK = 10000
local function look_at_taken(session)
  local looked = tonumber(redis.call('HGET', room, 'looked') or '0')
  local due = looked > at.now and looked or math.max(at.now, looked + LOOK)
  redis.call('HSET', room, 'looked', string.format('%d', due))
  local id = 'check-taken:' .. session
  room_owe(at, id, due, id, {type = 'check-taken', room = name, session_id = session})
end

-- One that is in the room's session, and whose token is good for a while yet.
local function take()
  local session = redis.call('HGET', room, 'session')
  local best
  for _, one in ipairs((stock_read(room))) do
    if one.state == 'ready' and one.session == session and one.till > at.now and (not best or one.till < best.till) then
      best = one
    end
  end
  if not best then return end
  redis.call('HDEL', room, 'stock:' .. best.participant)
  room_call_off(at, {'replace-stock:' .. best.participant})
  redis.call('HSET', room, 'given:' .. seat, string.format('%d %s %s', at.now, best.participant, best.token))
  seat_settle(at, seat, best.participant)
  look_at_taken(session)
  stock_want(at, stock, limit)
end

local phase = seat_read(at, seat)
if phase == 'leaving' or phase == 'closing' then return {'gone', '', ''} end
if phase == nil then
  if redis.call('EXISTS', left) == 1 then return {'gone', '', ''} end
  if broke ~= '0' and tonumber(string.match(redis.call('GET', closed) or '-1', '^%-?%d+')) >= tonumber(broke) then return {'gone', '', ''} end
  if heeds == '1' and is_doubted() then return {'doubted', '', ''} end
  if waits == '1' and rules.waiting and not others_are_there() then
    redis.call('HSET', room, 'waiter:' .. ref, seat)
    room_keep(at, ttl)
    return {'empty', '', text}
  end
  local members = tonumber(redis.call('HGET', room, 'members') or '0')
  if members >= math.min(tonumber(limit), rules.limit or tonumber(limit)) then
    return {'full', tostring(members), tostring(going())}
  end
  redis.call('HSET', room, 'seat:' .. seat, 'reserved -')
  redis.call('HINCRBY', room, 'members', 1)
  redis.call('HSETNX', room, 'began', at.now)
  redis.call('HDEL', room, 'waiter:' .. ref)
  if browser ~= '' then
    redis.call('HSET', room, 'web:' .. seat, browser, 'seen:' .. seat, now .. ' 0 0 0')
    seat_look_later(at, seat, at.now + unused)
  end
  if takes == '1' then take() end
  -- What is in stock could soon be in somebody's way.
  if members + 1 > tonumber(limit) - STOCK_MARGIN then stock_drop_all(at) end
end
room_keep(at, ttl)
local participant, token = string.match(redis.call('HGET', room, 'given:' .. seat) or '', '^%d+ (%S+) (%S+)$')
if participant then
  return {'stocked', redis.call('HGET', room, 'session') or '', text, participant, token}
end
return {'seated', redis.call('HGET', room, 'session') or '', text}
