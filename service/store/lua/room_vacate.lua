-- A member leaves. An empty seat is free at once, and so is one whose participant is kept because it lives on in
-- another room; else it is free after the participant has been taken down.
-- A seat without a participant is marked, so that a reservation which comes late, from a slow replica or sent
-- again, is told that it is gone; that of a move always, since a move is tried again. Who waits outside under this
-- seat waits no more.
-- When one member is left of several it is told so after a while, where the room is set so.
-- Where the last browser leaves and phones stay, it is looked after a while (`page`, 0 for never) whether that is so.
-- returns: 1 if there was a member, else 0
-- uses: owed rooms news room_news
-- keys: room live settings left owed agenda news
-- args: now seat keep owner name left_ttl alone page
local at = {
  room = room, live = live, owed = owed, agenda = agenda, news = news, owner = owner, name = name, now = tonumber(now)}
local phase, participant = seat_read(at, seat)
if phase == 'closing' and keep == '1' then
  -- It had moved on when the room was closed, and nobody knew.
  redis.call('SET', left, 1, 'PX', left_ttl)
  room_call_off(at, {'remove-participant:' .. seat, 'delete-participant:' .. seat, 'free-seat:' .. seat})
  seat_free(at, seat)
  return 1
end
if phase == 'leaving' or phase == 'closing' then return 1 end
if phase ~= 'in' or keep == '1' or seat_is_moved_to(seat) then redis.call('SET', left, 1, 'PX', left_ttl) end

local waiter = 'waiter:' .. seat_ref(seat)
if redis.call('HGET', room, waiter) == seat then
  redis.call('HDEL', room, waiter)
  room_unlist(at)
end
if phase == nil then return 0 end
if phase == 'reserved' then
  seat_free(at, seat)
  return 1
end

seat_tell(at, seat, participant, 'left')
if keep == '1' then
  room_call_off(at, {'add-participant:' .. seat})
  seat_free(at, seat)
else
  redis.call('HSET', room, 'seat:' .. seat, 'leaving ' .. participant)
  seat_take_down(at, seat, redis.call('HGET', room, 'session'), participant)
end

local inside, coming, browsers = {}, {}, 0
for _, one in ipairs((room_people(room))) do
  if seat_is_browser(one.seat) and (one.phase == 'in' or one.phase == 'reserved') then browsers = browsers + 1 end
  if one.phase == 'in' then inside[#inside + 1] = one.seat end
  if one.phase == 'reserved' then coming[#coming + 1] = one.seat end
end
-- Who is just coming in, because somebody was there, finds nobody.
if #inside == 0 then inside = coming end
local set = room_settings(settings).alone
if #inside == 0 then
  room_call_off(at, {'tell-alone', 'check-page'})
elseif #inside == 1 and set and not seat_is_browser(inside[1]) then
  local default = cjson.decode(alone)
  room_owe(at, 'tell-alone', at.now + math.floor((set.after or default.after) * 1000), 'tell-alone', {
    type = 'tell-alone', room = name, seat = inside[1], ['then'] = set['then'] or default['then']})
end
if #inside > 0 and browsers == 0 and seat_is_browser(seat) and page ~= '0' then
  room_owe(at, 'check-page', at.now + tonumber(page), 'check-page', {type = 'check-page', room = name})
end
return 1
