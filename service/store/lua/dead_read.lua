-- The dead letters of a partition, oldest first.
-- reads
-- keys: dead
return redis.call('ZRANGE', dead, 0, -1)
