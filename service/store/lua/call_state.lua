-- A call, without anything that belongs to it.
-- keys: call
return redis.call('HGET', call, 'state')
