-- A call, without anything that belongs to it.
-- reads
-- keys: call
return redis.call('HGET', call, 'state')
