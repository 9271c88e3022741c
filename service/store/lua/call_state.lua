-- A call, without anything that belongs to it.
-- returns: text or nil: the state
-- reads
-- keys: call
return redis.call('HGET', call, 'state')
