-- One round of a worker at one owner: write down what the last round did, and hand out what is due now, the
-- head of each lane. With nothing due the lease ends, and the agenda says when to come back. With `busy` it goes on:
-- some request is under way, also where its effect was called off, and another worker's would run beside it.
-- `version`: what is struck off. `since`: in milliseconds. `is_unknown`: '1' where its kind is not known, else ''.
-- What is laid aside goes to the partition's dead letters, the newest of which are kept. The timeline is told what
-- became of an effect in the step that strikes it off or puts it off, and so once; one that has expired is left so.
-- Work of a kind that is not among `kinds` is of a newer release. It is handed out to be told of, and to no worker that
-- does not know it again for a while (`unknown`: "<kind> <owner>" by when it was). It keeps its time, and is offered to
-- those who know it: they claim it at once (agenda_claim.lua).
-- returns: list of 6: id, version, tries, since, effect, is_unknown
-- uses: owed
-- keys: owed agenda dead timeline unknown offered
-- args: now worker lease busy owner done later laid_aside told letters letters_ttl entries kinds
now = tonumber(now)
-- Milliseconds after which somebody looks again at what cannot be read; it stays until it is dropped.
local UNREADABLE = 600000
-- Milliseconds: who takes an effect this much later than it was due, nobody was there to send it for as long.
local LATE = 60000
-- `place`: where in `told` the entry begins and ends. They may be bytes that JSON cannot carry.
local function tell(place)
  local entry = string.sub(told, place[1], place[2])
  if entry == '' then return end
  redis.call('RPUSHX', timeline, entry)
  redis.call('LTRIM', timeline, -tonumber(entries), -1)
end

-- Since when an effect fails that is put off. Only that time counts in which it could be sent: not what passes until
-- it is due again where it was not tried, as with a breaker that is open.
local function failing_since(one, since, due)
  local _, later, tried, _, failed_not, _, _, handed = unpack(one)
  if failed_not then return later end
  if tried == 0 then return since + later - due end
  return handed
end

local holder, ends = owed_lease(owed)
if holder and holder ~= worker and ends > now then return {} end

for _, one in ipairs(cjson.decode(done)) do
  -- Only what was done: an effect that was owed anew meanwhile has another value.
  local value = redis.call('HGET', owed, one[1])
  if value and string.match(value, '^%d+ (.*)$') == one[2] then
    redis.call('HDEL', owed, one[1])
    tell(one[3])
  end
end
for _, one in ipairs(cjson.decode(later)) do
  -- The same here: one that was owed anew has a time of its own.
  local value = redis.call('HGET', owed, one[1])
  if value and string.match(value, '^%d+ (.*)$') == one[4] then
    local seq, due, lane, tries, since, effect = owed_parse(value)
    if one[7] ~= '' then effect = one[7] end
    redis.call('HSET', owed, one[1],
      string.format('%d %d %s %d %d %s', seq, one[2], lane, tries + one[3], failing_since(one, since, due), effect))
    tell(one[6])
  end
end
for _, one in ipairs(cjson.decode(laid_aside)) do
  local value = redis.call('HGET', owed, one[1])
  if value and string.match(value, '^%d+ (.*)$') == one[2] then
    local _, _, lane, tries, since, effect = owed_parse(value)
    redis.call('HDEL', owed, one[1])
    tell(one[4])
    redis.call('ZADD', dead, now, cjson.encode({owner = owner, id = one[1], lane = lane, tries = tries + 1,
      since = since, died = now, error = one[3], effect = effect}))
    redis.call('ZREMRANGEBYRANK', dead, 0, -1 - tonumber(letters))
    redis.call('PEXPIRE', dead, letters_ttl)
  end
end

local heads, next_due = {}, nil
local fields = redis.call('HGETALL', owed)
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) ~= '.' then
    local seq, due, lane, tries, since, effect = owed_parse(fields[i + 1])
    if not seq then
      next_due = now + UNREADABLE
    elseif heads[lane] == nil or seq < heads[lane].seq then
      heads[lane] = {seq = seq, due = due, id = fields[i], value = fields[i + 1], tries = tries,
        since = since, effect = effect}
    end
  end
end

local function kind_of(head)
  local kind = string.match(head.effect, '"type":%s*"([^"]*)"') or 'unreadable'
  return kind == '*' and string.match(head.id, '^[^:]*') or kind
end

-- When a worker of this release is to look at it, and whether it does not know the kind.
local function look_at(head)
  local kind = kind_of(head)
  if head.due > now or string.find(kinds, ' ' .. kind .. ' ', 1, true) then return head.due, '' end
  local mark = kind .. ' ' .. owner
  local again = tonumber(redis.call('ZSCORE', unknown, mark) or '-inf') + UNREADABLE
  if again <= now then redis.call('ZADD', unknown, now, mark) end
  redis.call('ZADD', offered, now, mark)
  for _, key in ipairs({unknown, offered}) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - 2 * UNREADABLE)
    redis.call('PEXPIRE', key, 2 * UNREADABLE)
  end
  return again, '1'
end

local found = {}
for _, head in pairs(heads) do
  local look, strange = look_at(head)
  if look <= now then
    -- That it was late is written down when it is put off: until then its value says whether it is the same.
    local since = now - head.due > LATE and head.since + now - head.due or head.since
    local version = string.match(head.value, '^%d+ (.*)$')
    for _, part in ipairs({head.id, version, head.tries, since, head.effect, strange}) do
      found[#found + 1] = part
    end
  elseif next_due == nil or look < next_due then
    next_due = look
  end
end

if #found > 0 or busy == '1' then
  redis.call('HSET', owed, '.lease', string.format('%s %d', worker, now + lease))
  redis.call('ZADD', agenda, now + lease, owner)
elseif next_due then
  redis.call('HDEL', owed, '.lease')
  redis.call('ZADD', agenda, next_due, owner)
else
  redis.call('DEL', owed)
  redis.call('ZREM', agenda, owner)
end
return found
