-- May this API key place one more call? Asked again under the same idempotency key it is the same call, and not
-- counted twice; nor is one that the client sends again because its reply was lost: its ref tells.
-- Returns {'same', ref}, {'mismatch', ''}, {'many', milliseconds to wait} or {'new', ref}.
-- uses: rolling_hour
-- keys: once placed
-- args: idempotent digest ref per_hour once_ttl now
if idempotent == '1' then
  local known = redis.call('HMGET', once, 'digest', 'ref')
  if known[1] and known[1] ~= digest then return {'mismatch', ''} end
  if known[1] and known[2] ~= ref then return {'same', known[2]} end
end
if not hour_has(placed, ref) then
  local wait = hour_wait(placed, tonumber(per_hour), tonumber(now))
  if wait > 0 then return {'many', tostring(wait)} end
  hour_add(placed, ref, tonumber(now))
end
if idempotent == '1' then
  redis.call('HSET', once, 'digest', digest, 'ref', ref)
  redis.call('PEXPIRE', once, once_ttl)
end
return {'new', ref}
