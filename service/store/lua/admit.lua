-- May this API key place one more call? Asked again under the same idempotency key it is the same call, and not
-- counted twice; nor is one that the client sends again because its reply was lost: its ref tells.
-- The key's visitors have a share of its calls, and each visit one of theirs. For an order of the key itself
-- `visitors` and `visit` are `placed` again, with the same limit.
-- Answer and value: 'new' or 'same' and the ref, 'many' and the milliseconds to wait, 'mismatch' and ''.
-- returns: 2: answer, value
-- uses: rolling_hour
-- keys: once placed visitors visit
-- args: idempotent digest ref per_hour for_visitors for_visit once_ttl now
if idempotent == '1' then
  local known = redis.call('HMGET', once, 'digest', 'ref')
  if known[1] and known[1] ~= digest then return {'mismatch', ''} end
  if known[1] and known[2] ~= ref then return {'same', known[2]} end
end
if not hour_has(placed, ref) then
  local counts, wait = {[placed] = per_hour, [visitors] = for_visitors, [visit] = for_visit}, 0
  for count, limit in pairs(counts) do
    wait = math.max(wait, hour_wait(count, tonumber(limit), tonumber(now)))
  end
  if wait > 0 then return {'many', tostring(wait)} end
  for count in pairs(counts) do
    hour_add(count, ref, tonumber(now))
  end
end
if idempotent == '1' then
  redis.call('HSET', once, 'digest', digest, 'ref', ref)
  redis.call('PEXPIRE', once, once_ttl)
end
return {'new', ref}
