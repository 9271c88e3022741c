-- The next entries of a stream after the one with the id `after`, `limit` at most. The answer is '', 'none'
-- where there is no stream (nothing for an hour), or
-- 'lost' when it cannot be said what came after it: entries after it have been trimmed, or the stream ends
-- before it, as after a failover to a replica that did not have everything.
-- returns: 2: answer, entries
-- reads
-- keys: news
-- args: after limit
if redis.call('EXISTS', news) == 0 then return {'none', {}} end
local flat, info = redis.call('XINFO', 'STREAM', news), {}
for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
local last = info['last-generated-id']
if last == after then return {'', {}} end

local function before(one, other)
  local ms, seq = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_seq = string.match(other, '^(%d+)-(%d+)$')
  if ms ~= other_ms then return tonumber(ms) < tonumber(other_ms) end
  return tonumber(seq) < tonumber(other_seq)
end

if before(last, after) then return {'lost', {}} end
if info['entries-added'] > info['length'] then
  local first = redis.call('XRANGE', news, '-', '+', 'COUNT', 1)[1]
  if first == nil or before(after, first[1]) then return {'lost', {}} end
end
return {'', redis.call('XRANGE', news, '(' .. after, '+', 'COUNT', tonumber(limit))}
