-- The invitations and visits of a room that were open when something came last.
-- returns: list of 2: name, record
-- reads
-- keys: passes
return redis.call('HGETALL', passes)
