-- One step of a participant in stock, and what becomes of it:
--   coming   it has been made, and is to be added to the session that is returned; '' when the room wants none any
--            more, and its deletion is owed
--   ready    it is in the session, with `token` to be handed out until `till`
--   failed   it could not be added: out of stock, and no other is asked for before somebody comes
--   gone     it is not in the session any more, or too old: out of stock, and another is asked for
-- Each may be sent twice.
-- returns: text: the session that the participant is or is to be in, or empty
-- uses: owed rooms
-- keys: room live owed agenda
-- args: now owner name step participant token till stock limit kept
local at = {room = room, live = live, owed = owed, agenda = agenda, owner = owner, name = name, now = tonumber(now)}
local field = 'stock:' .. participant
local one
local stocked, given = stock_read(room)
for _, other in ipairs(stocked) do
  if other.participant == participant then one = other end
end
for _, other in ipairs(given) do
  if at.now - other.since > tonumber(kept) then redis.call('HDEL', room, 'given:' .. other.seat) end
end

if step == 'coming' then
  if one then return one.session end
  if stock_lacks(at, stock, limit) <= 0 then
    room_owe(at, 'delete-participant:' .. participant, at.now, participant, {
      type = 'delete-participant', seat = '', participant_id = participant})
    return ''
  end
  local session = redis.call('HGET', room, 'session')
  redis.call('HSET', room, field, string.format('coming %s %d -', session, till))
  local id = 'replace-stock:' .. participant
  room_owe(at, id, tonumber(till), id, {type = 'replace-stock', room = name, participant_id = participant})
  return session
end

if one == nil then return '' end
if step == 'ready' then
  redis.call('HSET', room, field, string.format('ready %s %d %s', one.session, one.till, token))
else
  stock_drop(at, one)
end
if step ~= 'failed' then stock_want(at, stock, limit) end
return one.session
