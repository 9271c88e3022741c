-- What time it is for all replicas, for who only looks: in milliseconds.
-- returns: 2: server, offset
-- reads
-- keys: clock
local time = redis.call('TIME')
local offset = string.match(redis.call('GET', clock) or '', '^(-?%d+) %d+ %d+$')
return {time[1] * 1000 + math.floor(time[2] / 1000), tonumber(offset or '0')}
