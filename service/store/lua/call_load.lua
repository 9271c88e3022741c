-- What one webhook needs of a call, in one trip.
-- reads
-- keys: call events token
-- args: event
local found = redis.call('HMGET', call, 'revision', 'state')
return {found[1], found[2], redis.call('HGET', events, event), redis.call('GET', token)}
