-- A participant takes its reserved seat, and the session that was made for it becomes the room's, unless
-- another caller was first. Returns {'in', session}, or {'gone', ''} when the seat was given up meanwhile.
-- What is not used is owed for deletion in the same step.
-- uses: owed
-- keys: room owed agenda
-- args: now seat participant made owner ttl
now = tonumber(now)
local name = 'seat:' .. seat
local phase, sitting = string.match(redis.call('HGET', room, name) or '', '^(%S+) (%S+)$')

local function delete_session(id)
  owed_add(owed, agenda, owner, now, 'delete-session:' .. id, now, id,
    cjson.encode({type = 'delete-session', session_id = id}))
end

if phase == nil or phase == 'leaving' or (phase == 'in' and sitting ~= participant) then
  owed_add(owed, agenda, owner, now, 'delete-participant:' .. participant, now, participant,
    cjson.encode({type = 'delete-participant', seat = seat, participant_id = participant}))
  if made ~= '' and made ~= redis.call('HGET', room, 'session') then delete_session(made) end
  return {'gone', ''}
end

redis.call('HSET', room, name, 'in ' .. participant)
local session = redis.call('HGET', room, 'session')
if not session and made ~= '' then
  session = made
  redis.call('HSET', room, 'session', session)
elseif made ~= '' and made ~= session then
  delete_session(made)
end
redis.call('PEXPIRE', room, ttl)
return {'in', session or ''}
