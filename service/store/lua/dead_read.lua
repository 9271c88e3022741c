-- The dead letters of a partition, oldest first.
-- returns: list of 1: letter
-- reads
-- keys: dead
return redis.call('ZRANGE', dead, 0, -1)
