-- One value.
-- reads
-- keys: value
return redis.call('GET', value)
