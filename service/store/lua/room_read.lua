-- A room as it is, and its settings.
-- returns: 2: room, settings
-- reads
-- keys: room settings
return {redis.call('HGETALL', room), redis.call('GET', settings)}
