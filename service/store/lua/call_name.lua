-- Under which ref a call is kept.
-- keys: alias
-- args: ref ttl
redis.call('SET', alias, ref, 'PX', ttl)
return 1
