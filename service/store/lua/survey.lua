-- What a partition holds, for the metrics; no more than a bounded look, whatever is there.
-- `due`, `near`, `later`: owners whose work is due now, within `soon` and later. `oldest`: milliseconds that the oldest
-- work is owed. `members`: those of some rooms. `states`: live calls by state. `late`: calls that wait for their leg to
-- answer and were not heard of.
--
-- `prefix` is what the keys of the partition begin with: which there are is not known before. They are in the same
-- slot. The oldest is looked for among the owners that are due soonest, as work that fails is put off by a minute at
-- most. `questions` are the kinds of work that are asked again and again by design: only their being late counts.
--
-- A call's key lives for a fixed time from what was heard of it last: it is late when less than `heard` is left.
-- returns: 9: due, near, later, oldest, dead, rooms, members, states, late
-- reads
-- keys: agenda dead live standing
-- args: now prefix soon owners rooms questions states step answers heard
now = tonumber(now)
local due = redis.call('ZCOUNT', agenda, '-inf', now)
local near = redis.call('ZCOUNT', agenda, '(' .. now, now + soon)

local asks = {}
for _, kind in ipairs(cjson.decode(questions)) do asks[kind] = true end
local oldest = 0
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', agenda, '-inf', now + soon, 'LIMIT', 0, tonumber(owners))) do
  for _, value in ipairs(redis.call('HVALS', prefix .. ':owed:' .. owner)) do
    local falls_due, tries, since, effect = string.match(value, '^%d+ (%d+) %S+ (%d+) (%d+) (.*)$')
    if effect then
      local kind = string.match(effect, '"type":"([^"]+)"')
      local from = (tonumber(tries) > 0 and not asks[kind]) and since or falls_due
      oldest = math.max(oldest, now - tonumber(from))
    end
  end
end

local members = {}
for _, name in ipairs(redis.call('SRANDMEMBER', live, tonumber(rooms))) do
  local count = tonumber(redis.call('HGET', prefix .. ':room:' .. name, 'members') or '0')
  if count > 0 then members[#members + 1] = count end
end

local by_state = {}
for place = 0, tonumber(states) - 1 do
  by_state[#by_state + 1] = redis.call('ZCOUNT', standing, place * step + now, '(' .. (place + 1) * step)
end

local late = redis.call('ZCOUNT', standing, answers * step + now, answers * step + now + heard)

return {due, near, redis.call('ZCARD', agenda) - due - near, oldest, redis.call('ZCARD', dead),
  redis.call('SCARD', live), members, by_state, late}
