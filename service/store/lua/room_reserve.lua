-- Take a seat before anything is requested. Returns {'seated', session or ''}, {'full', members} or, when it has
-- been given up before it was taken, {'gone', ''}.
-- A seat is "<phase> <participant or ->"; phases: reserved, in, leaving. A leaving member still counts: until
-- its seat is free it may still be in the session.
-- keys: room left
-- args: now seat limit ttl
local name = 'seat:' .. seat
if redis.call('HEXISTS', room, name) == 0 then
  if redis.call('EXISTS', left) == 1 then return {'gone', ''} end
  local members = tonumber(redis.call('HGET', room, 'members') or '0')
  if members >= tonumber(limit) then return {'full', tostring(members)} end
  redis.call('HSET', room, name, 'reserved -')
  redis.call('HINCRBY', room, 'members', 1)
  redis.call('HSETNX', room, 'opened', now)
end
redis.call('PEXPIRE', room, ttl)
return {'seated', redis.call('HGET', room, 'session') or ''}
