-- What a replica says of itself; it is forgotten by itself when nothing more is heard of it. It is told the time
-- (clock.lua): every replica is told it as often as it reports, at no trip more.
--
-- By the server's clock: one of a replica that is wrong would have it forget the others.
-- returns: 4: server, offset, gap, previous
-- uses: clock
-- keys: report replicas clock
-- args: id text ttl
local now = clock_server()
redis.call('SET', report, text, 'PX', ttl)
redis.call('ZADD', replicas, now, id)
redis.call('ZREMRANGEBYSCORE', replicas, '-inf', now - ttl)
-- Of before that clock was set back: those that live say so again.
redis.call('ZREMRANGEBYSCORE', replicas, now + 1000, '+inf')
redis.call('PEXPIRE', replicas, ttl)
return clock_ask(clock, '', '')
