-- One value.
-- keys: value
return redis.call('GET', value)
