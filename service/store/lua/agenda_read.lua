-- Who owes work, and when somebody has to look: {owner, milliseconds, ...}, earliest first.
-- reads
-- keys: agenda
-- args: limit
return redis.call('ZRANGE', agenda, 0, tonumber(limit) - 1, 'WITHSCORES')
