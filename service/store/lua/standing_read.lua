-- The refs of a partition's live calls.
-- reads
-- keys: standing
return redis.call('ZRANGE', standing, 0, -1)
