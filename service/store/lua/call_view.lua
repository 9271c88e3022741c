-- A call and what has happened to it.
-- returns: 2: state, timeline
-- reads
-- keys: call timeline
return {redis.call('HGET', call, 'state'), redis.call('LRANGE', timeline, 0, -1)}
