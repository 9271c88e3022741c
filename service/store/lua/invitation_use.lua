-- An invitation becomes one visit, once. Returns 1 when it is this one, also when it was before.
-- keys: used
-- args: visit ttl
redis.call('SET', used, visit, 'PX', ttl, 'NX')
return redis.call('GET', used) == visit and 1 or 0
