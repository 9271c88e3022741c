-- State, timeline, reply and owed effects together, or not at all: not when another commit came first. Run
-- twice (the client sends it again when a reply is lost) it writes once; the end of a call
-- is known for written also when others have written after it, for it is told once.
-- returns: 1 if written, else 0
-- uses: owed news
-- keys: call events timeline token owed agenda calls standing news
-- args: now revision commit state event reply entry entries effects cancelled owner device ttl events_ttl token_ttl ref began listed oldest calls_ttl stands step rooms told
local held = redis.call('HMGET', call, 'revision', 'commit', 'ended')
local at = tonumber(held[1] or '0')
if at ~= tonumber(revision) then
  if at == tonumber(revision) + 1 and held[2] == commit then return 1 end
  return held[3] == commit and 1 or 0
end
now = tonumber(now)

redis.call('HSET', call, 'revision', at + 1, 'commit', commit, 'state', state)
redis.call('PEXPIRE', call, ttl)

if event ~= '' then redis.call('HSET', events, event, reply) end
redis.call('PEXPIRE', events, events_ttl)

if entry ~= '' then
  redis.call('RPUSH', timeline, entry)
  redis.call('LTRIM', timeline, -tonumber(entries), -1)
end
redis.call('PEXPIRE', timeline, ttl)

if device == '-' then
  redis.call('DEL', token)
elseif device ~= '' then
  redis.call('SET', token, device, 'PX', token_ttl)
end

if listed == '1' then redis.call('ZADD', calls, began, ref) end
redis.call('ZREMRANGEBYSCORE', calls, '-inf', oldest)
redis.call('PEXPIRE', calls, calls_ttl)

-- For the count of live calls by state (survey.lua): the call moves, so that it is counted once.
if stands ~= '' then
  redis.call('ZREMRANGEBYSCORE', standing, stands * step, stands * step + now)
  redis.call('ZADD', standing, stands * step + now + ttl, ref)
  redis.call('PEXPIRE', standing, ttl)
else
  redis.call('HSETNX', call, 'ended', commit)
  redis.call('ZREM', standing, ref)
end

if told ~= '' then news_add(news, now, 'call', rooms, told) end

owed_cancel(owed, agenda, owner, now, cjson.decode(cancelled))
for _, one in ipairs(cjson.decode(effects)) do
  owed_add(owed, agenda, owner, now, one[1], tonumber(one[2]), one[3], one[4])
end
return 1
