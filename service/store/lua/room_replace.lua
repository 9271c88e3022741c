-- The room's session has vanished at Bandwidth: put a new one in its place, once. Whoever comes second uses
-- the winner's and owes the deletion of its own. Every other member is owed a re-add.
-- Returns {'in', session} or {'gone', ''} when the seat was given up meanwhile: then there is nothing to repair.
-- uses: owed
-- keys: room owed agenda
-- args: now seat vanished made owner name ttl
now = tonumber(now)
local session = redis.call('HGET', room, 'session')
local phase = string.match(redis.call('HGET', room, 'seat:' .. seat) or '', '^(%S+) ')

if phase ~= 'in' or (session ~= vanished and session ~= made) then
  owed_add(owed, agenda, owner, now, 'delete-session:' .. made, now, made,
    cjson.encode({type = 'delete-session', session_id = made}))
  if phase ~= 'in' then return {'gone', ''} end
  return {'in', session or ''}
end
if session == made then return {'in', session} end

redis.call('HSET', room, 'session', made, 'opened', now)
local fields = redis.call('HGETALL', room)
for i = 1, #fields, 2 do
  local other = string.match(fields[i], '^seat:(.+)$')
  local at, participant = string.match(fields[i + 1], '^(%S+) (%S+)$')
  if other and other ~= seat and at == 'in' then
    owed_add(owed, agenda, owner, now, 'add-participant:' .. other, now, other, cjson.encode({
      type = 'add-participant', room = name, seat = other, session_id = made, participant_id = participant}))
  end
end
redis.call('PEXPIRE', room, ttl)
return {'in', made}
