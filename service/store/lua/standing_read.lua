-- The refs of a partition's live calls.
-- returns: list of 1: ref
-- reads
-- keys: standing
return redis.call('ZRANGE', standing, 0, -1)
