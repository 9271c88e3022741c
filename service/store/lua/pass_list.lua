-- The invitations and visits of a room that were open when something came last: names and records by turns.
-- reads
-- keys: passes
return redis.call('HGETALL', passes)
