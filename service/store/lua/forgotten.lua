-- One part of a partition's calls and rooms: what they must owe as long as they are there, and do not, is owed anew,
-- and who owes work is put on the agenda. Those are a live call's question, a room's looks at its session, a leaving
-- member's removal, and a browser's look whether it is there.
-- A cursor is "<kind> <place>", and '' where the partition begins: then nothing is done if somebody else has begun
-- within `every`. The next cursor is '' at the end.
-- Which calls and rooms there are is not known before, so that their keys, which begin with `prefix`, cannot be
-- declared; they are in the partition's slot. A call that is being dialed is seen to after `rings`. Of those that have
-- ended, the ones that have begun within `recent` are looked at.
-- returns: 1, then list of 2: cursor, owner, kind
-- uses: owed rooms
-- keys: searched standing calls live agenda
-- args: now prefix cursor every count rooms step dialing rings recent roll_over
now, step, count = tonumber(now), tonumber(step), tonumber(count)
local found = {''}
local function tell(owner, kind)
  found[#found + 1] = owner
  found[#found + 1] = kind
end

local function lacks(owed, id)
  return redis.call('HEXISTS', owed, id) == 0
end

local function see_agenda(owner, owed)
  if redis.call('EXISTS', owed) == 1 and not redis.call('ZSCORE', agenda, owner) then
    redis.call('ZADD', agenda, now, owner)
    tell(owner, 'agenda')
  end
end

local function see_call(ref, state)
  local owner, owed = 'call:' .. ref, prefix .. ':owed:call:' .. ref
  if redis.call('EXISTS', prefix .. ':call:' .. ref) == 0 then return end
  see_agenda(owner, owed)
  if not lacks(owed, 'ask-after') then return end
  if state ~= tonumber(dialing) then
    owed_add(owed, agenda, owner, now, 'ask-after', now, 'ask-after', cjson.encode({type = '*'}))
    tell(owner, 'ask-after')
  elseif lacks(owed, 'end-dialing') then
    owed_add(owed, agenda, owner, now, 'end-dialing', now + rings, 'end-dialing',
      cjson.encode({type = 'end-dialing', ref = ref}))
    tell(owner, 'end-dialing')
  end
end

local function see_seat(at, seat, session)
  local phase, participant, closing = seat_read(at, seat)
  local leaving = phase == 'leaving' or phase == 'closing'
  if leaving and lacks(at.owed, 'free-seat:' .. seat) then
    if phase == 'closing' then session = closing ~= '-' and closing end
    seat_take_down(at, seat, session, participant)
    tell(at.owner, 'free-seat')
  elseif not leaving and seat_is_browser(seat) and lacks(at.owed, 'check-presence:' .. seat) then
    seat_look_later(at, seat, now)
    tell(at.owner, 'check-presence')
  end
end

local function see_room(name)
  local at = {room = prefix .. ':room:' .. name, live = live, owed = prefix .. ':owed:room:' .. name,
    agenda = agenda, owner = 'room:' .. name, name = name, now = now}
  see_agenda(at.owner, at.owed)
  local session = redis.call('HGET', at.room, 'session')
  if session and lacks(at.owed, 'check-room:' .. session) then
    room_owe(at, 'check-room:' .. session, now, 'check', {type = '*'})
    tell(at.owner, 'check-room')
  end
  if session and lacks(at.owed, 'replace-session:' .. session) then
    local opened = tonumber(redis.call('HGET', at.room, 'opened') or now)
    room_owe(at, 'replace-session:' .. session, opened + roll_over, 'replace', {type = '*'})
    tell(at.owner, 'replace-session')
  end
  for _, one in ipairs((room_people(at.room))) do see_seat(at, one.seat, session) end
end

-- Each looks at one part of a kind, and returns the next cursor.
local parts = {}

function parts.standing(place)
  local page = redis.call('ZRANGE', standing, place, place + count - 1, 'WITHSCORES')
  for i = 1, #page, 2 do see_call(page[i], math.floor(tonumber(page[i + 1]) / step)) end
  return #page < 2 * count and 'live 0' or string.format('standing %d', place + count)
end

function parts.live(place)
  local following, page = unpack(redis.call('SSCAN', live, place, 'COUNT', rooms))
  for _, name in ipairs(page) do see_room(name) end
  return following == '0' and 'calls 0' or 'live ' .. following
end

function parts.calls(place)
  local page = redis.call('ZREVRANGE', calls, place, place + count - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    if tonumber(page[i + 1]) < now - recent then return '' end
    see_agenda('call:' .. page[i], prefix .. ':owed:call:' .. page[i])
  end
  return #page < 2 * count and '' or string.format('calls %d', place + count)
end

if cursor == '' then
  if not redis.call('SET', searched, 1, 'NX', 'PX', every) then return found end
  cursor = 'standing 0'
end
local kind, place = string.match(cursor, '^(%a+) (%d+)$')
found[1] = parts[kind](place)
return found
