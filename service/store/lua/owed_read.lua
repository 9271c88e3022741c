-- All that an owner owes, as it is kept.
-- returns: list of 2: id, value
-- reads
-- keys: owed
return redis.call('HGETALL', owed)
