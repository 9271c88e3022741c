-- What was asked for under an idempotency key never was, unless another has been asked for since.
-- keys: once
-- args: ref
if redis.call('HGET', once, 'ref') == ref then redis.call('DEL', once) end
return 1
