-- Everybody out. The session leaves the room at once, so that who comes now begins a new epoch; it is deleted
-- when the last of those who were in it has been taken down. Everybody is told.
-- `marks` is what the keys that mark seats begin with: which seats there are is not known before, so that their
-- keys cannot be declared; they are in the room's slot like all of its keys.
-- `closed` says when, and by which request: it is read by callers whose way in had just broken (they have no seat, and
-- are on their way back), and by invitations and visits. What was issued before is over, and is no longer listed.
-- returns: 1 if there was anything to close, else 0
-- uses: owed rooms news room_news passes
-- keys: room live closed owed agenda news passes ends
-- args: now owner name marks left_ttl ttl life
local at = {
  room = room, live = live, owed = owed, agenda = agenda, news = news, owner = owner, name = name, now = tonumber(now)}
local seats, waiters = room_people(room)
local session = epoch_end(at)
local closing = 'closing:' .. (session or '-')
local found = session ~= false
local when, last = at.now, passes_closed(closed)
-- Sent again, since its reply was lost, the same request finds nothing, and is answered as the first time.
local again = string.match(redis.call('GET', closed) or '', ' (%d+)$') == now
if when <= last then when = last end
if redis.call('ZCOUNT', ends, '(' .. now, '+inf') > 0 then
  found = true
  -- Later than the closing that they know of, also when it was in the same millisecond.
  if when == last then when = last + 1 end
end
redis.call('DEL', passes, ends)

local function evict(seat)
  found = true
  if seat_is_browser(seat) then return end
  room_owe(at, 'evict:' .. seat, at.now, seat, {type = 'evict', room = name, seat = seat})
end

for _, one in ipairs(seats) do
  local field = 'seat:' .. one.seat
  if one.phase == 'reserved' or seat_is_moved_to(one.seat) then
    redis.call('SET', marks .. one.seat, 1, 'PX', left_ttl)
  end
  if one.phase == 'reserved' then
    seat_forget(at, one.seat)
    found = true
    -- Who is being moved here ("<ref>.<attempt>-<place>") and has not come in stays where it is.
    if not string.match(one.seat, '%-%d+$') then evict(one.seat) end
  elseif one.phase ~= 'closing' then
    redis.call('HSET', room, field, 'closing ' .. one.participant .. ' ' .. (session or '-'))
    redis.call('HINCRBY', room, closing, 1)
    -- Who is leaving may be about to come back: their way in has broken.
    evict(one.seat)
    if one.phase == 'in' then
      seat_tell(at, one.seat, one.participant, 'left')
      seat_take_down(at, one.seat, session, one.participant)
    end
  end
end
for _, one in ipairs(waiters) do
  redis.call('HDEL', room, 'waiter:' .. one.ref)
  evict(one.seat)
end
room_unlist(at)

room_call_off(at, {'tell-alone', 'check-page'})
if session then
  session_retire(at, session)
  session_discard(at, session)
end
redis.call('PEXPIRE', room, ttl)
if found then room_tell_closed(at) end
found = found or again
redis.call('SET', closed, string.format('%d', when) .. (found and ' ' .. now or ''), 'PX', life)
return found and 1 or 0
