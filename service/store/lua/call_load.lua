-- What one webhook needs of a call, in one trip.
-- returns: 4: revision, state, reply, token
-- reads
-- keys: call events token
-- args: event
local found = redis.call('HMGET', call, 'revision', 'state')
return {found[1], found[2], redis.call('HGET', events, event), redis.call('GET', token)}
