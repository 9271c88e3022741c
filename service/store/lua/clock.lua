-- Shared by the scripts that tell the time of the fleet: the clock of the server that holds this key, and an offset
-- that keeps it steady should that clock jump, or another server take over (service/store/clock.py).
--
-- The key is "<offset> <last> <gap>", all in milliseconds. `last`: when the server was asked last, by its own clock.
-- `gap`: when it was last asked earlier than before, or later than replicas that live ask. Nobody may set the time on
-- without one, so that a replica that has slept does not take its sleep for a jump of everybody's clock.
-- returns: library

-- Milliseconds; replicas ask every five seconds, and once a second whether it is time.
local CLOCK_SILENT = 8000
-- Longer than all replicas are away, in the worst case; 7 days.
local CLOCK_KEPT = 604800000

local function clock_server()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Gives {server's time, offset, gap, when it was asked before that}. The offset becomes `instead` if it is still what it
-- `was`. Who is `new` knows no time to compare with, and does not count as having asked.
local function clock_ask(clock, was, instead)
  local now = clock_server()
  local offset, last, gap = string.match(redis.call('GET', clock) or '', '^(-?%d+) (%d+) (%d+)$')
  offset, last, gap = tonumber(offset or '0'), tonumber(last or '0'), tonumber(gap or '0')
  if now < last or now - last > CLOCK_SILENT then gap = now end
  local before = last
  if was ~= 'new' or last == 0 then last = now end
  if instead ~= '' and offset == tonumber(was) then offset = tonumber(instead) end
  redis.call('SET', clock, string.format('%d %d %d', offset, last, gap), 'PX', CLOCK_KEPT)
  return {now, offset, gap, before}
end
