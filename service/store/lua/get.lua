-- One value.
-- returns: text or nil: the value
-- reads
-- keys: value
return redis.call('GET', value)
