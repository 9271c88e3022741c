-- What a replica says of itself; it is forgotten by itself when nothing more is heard of it.
--
-- By the server's clock: one of a replica that is wrong would have it forget the others.
-- keys: report replicas
-- args: id text ttl
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('SET', report, text, 'PX', ttl)
redis.call('ZADD', replicas, now, id)
redis.call('ZREMRANGEBYSCORE', replicas, '-inf', now - ttl)
redis.call('PEXPIRE', replicas, ttl)
return 1
