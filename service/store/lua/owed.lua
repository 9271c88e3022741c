-- Shared by every script that writes down owed work; put in front of those that ask for it.
--
-- An owner's effects are the fields of one hash, "<seq> <due> <lane> <tries> <since> <effect>", times in
-- milliseconds since the epoch. The agenda of the partition holds the owner under the time at which somebody
-- has to look: the earliest due effect or, while a worker is at it, the end of that worker's lease.
-- returns: library

-- Nil for what is no such value: that of others is not to suffer from it.
local function owed_parse(value)
  local seq, due, lane, tries, since, effect = string.match(value, '^(%d+) (%d+) (%S+) (%d+) (%d+) (.*)$')
  return tonumber(seq), tonumber(due), lane, tonumber(tries), tonumber(since), effect
end

local function owed_lease(owed)
  local worker, ends = string.match(redis.call('HGET', owed, '.lease') or '', '^(%S+) (%d+)$')
  return worker, tonumber(ends or '0')
end

-- Write one effect down. A later one under the same id takes the earlier one's place in the queue. It can fail from the
-- time at which it is due, not before.
local function owed_add(owed, agenda, owner, now, id, due, lane, effect)
  local old = redis.call('HGET', owed, id)
  local seq = old and owed_parse(old) or redis.call('HINCRBY', owed, '.seq', 1)
  redis.call('HSET', owed, id, string.format('%d %d %s 0 %d %s', seq, due, lane, math.max(now, due), effect))
  local _, leased = owed_lease(owed)
  if leased <= now then
    redis.call('ZADD', agenda, 'LT', due, owner)
  end
end

-- Call effects off. Who owes nothing any more is taken off the agenda, unless a worker is at it and does so.
local function owed_cancel(owed, agenda, owner, now, ids)
  local gone = 0
  for _, id in ipairs(ids) do gone = gone + redis.call('HDEL', owed, id) end
  if gone == 0 then return end
  local _, leased = owed_lease(owed)
  local bookkeeping = redis.call('HEXISTS', owed, '.seq') + redis.call('HEXISTS', owed, '.lease')
  if leased <= now and redis.call('HLEN', owed) == bookkeeping then
    redis.call('DEL', owed)
    redis.call('ZREM', agenda, owner)
  end
end
