-- A room as it is, and its settings.
-- reads
-- keys: room settings
return {redis.call('HGETALL', room), redis.call('GET', settings)}
