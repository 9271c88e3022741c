-- May this API key place one more call? Asked again under the same idempotency key it is the same call, and not
-- counted twice; nor is one that the client sends again because its reply was lost: its ref tells.
-- Returns {'same', ref}, {'mismatch', ''}, {'many', ''} or {'new', ref}.
-- keys: once placed
-- args: idempotent digest ref per_hour once_ttl hour
if idempotent == '1' then
  local known = redis.call('HMGET', once, 'digest', 'ref')
  if known[1] and known[1] ~= digest then return {'mismatch', ''} end
  if known[1] and known[2] ~= ref then return {'same', known[2]} end
end
if redis.call('SISMEMBER', placed, ref) == 0 then
  if redis.call('SCARD', placed) >= tonumber(per_hour) then return {'many', ''} end
  redis.call('SADD', placed, ref)
  redis.call('PEXPIRE', placed, hour)
end
if idempotent == '1' then
  redis.call('HSET', once, 'digest', digest, 'ref', ref)
  redis.call('PEXPIRE', once, once_ttl)
end
return {'new', ref}
