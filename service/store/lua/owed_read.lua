-- All that an owner owes, as it is kept: {id, value, ...}.
-- reads
-- keys: owed
return redis.call('HGETALL', owed)
