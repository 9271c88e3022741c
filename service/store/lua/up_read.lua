-- Calls that were up when they were last looked at, those first that nobody has looked at for longest, each with when.
-- returns: list of 2: name, looked
-- reads
-- keys: up
-- args: most
return redis.call('ZRANGE', up, 0, most - 1, 'WITHSCORES')
