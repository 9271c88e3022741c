-- Forget an ended call: a tombstone takes its place for as long as webhooks may come late.
-- returns: number or nil: 1 if erased, 0 if the call lives or owes work, nil if it is not known
-- keys: call events timeline token owed calls
-- args: ref tombstone ttl oldest
local state = redis.call('HGET', call, 'state')
if not state then return false end
-- A state that is no JSON is compressed, which those of ended calls are.
local lives = string.sub(state, 1, 1) == '{' and cjson.decode(state).phone ~= 'gone'
if lives or redis.call('EXISTS', owed) == 1 then return 0 end
if state ~= tombstone then
  -- Whoever has loaded the call before must not write it back.
  redis.call('HINCRBY', call, 'revision', 1)
  redis.call('HSET', call, 'commit', '', 'state', tombstone)
end
redis.call('PEXPIRE', call, ttl)
redis.call('DEL', events, timeline, token)
redis.call('ZREM', calls, ref)
redis.call('ZREMRANGEBYSCORE', calls, '-inf', oldest)
return 1
