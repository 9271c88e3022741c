-- Under which ref a call is kept.
-- returns: nothing
-- keys: alias
-- args: ref ttl
redis.call('SET', alias, ref, 'PX', ttl)
return 1
