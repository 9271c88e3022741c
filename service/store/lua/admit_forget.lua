-- The call `ref` certainly never was: it is not counted for the key and its visitors, and what was asked for under
-- an idempotency key may be asked for again, unless another has been since.
-- returns: nothing
-- uses: rolling_hour
-- keys: once placed visitors
-- args: ref
hour_take_back(placed, ref)
hour_take_back(visitors, ref)
if redis.call('HGET', once, 'ref') == ref then redis.call('DEL', once) end
return 1
