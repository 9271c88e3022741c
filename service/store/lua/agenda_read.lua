-- Who owes work, and when somebody has to look: `due` in milliseconds, earliest first.
-- returns: list of 2: owner, due
-- reads
-- keys: agenda
-- args: limit
return redis.call('ZRANGE', agenda, 0, tonumber(limit) - 1, 'WITHSCORES')
