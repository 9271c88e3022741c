-- A replica that cannot reach some APIs of Bandwidth stands aside for a while, or goes on doing so.
--
-- Granted while another is well: it does not stand aside itself, misses no API, and has had a success at one of
-- these not long ago. Never to more than half of those that live and are not told to end, so never to the only one.
-- Without a grant it holds nothing afterwards, whatever it held before.
--
-- Ages are by this server's clock from when a report was written, and by the replica's own until then: how far
-- apart the clocks are does not matter. `prefix` is as in replica_read.
-- returns: 1 if granted, else 0
-- keys: standing replicas
-- args: id apis prefix limit fresh lease
-- Milliseconds by which a time may lie ahead of the server's before that clock counts as set back.
local AHEAD = 1000
fresh = tonumber(fresh)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', standing, '-inf', now)
-- What lies ahead is of before the server's clock was set back: nobody knows how old it is.
redis.call('ZREMRANGEBYSCORE', standing, now + lease + AHEAD, '+inf')
redis.call('ZREM', standing, id)

local function succeeded(report, written)
  if type(report.succeeded) ~= 'table' or type(report.at) ~= 'number' then return false end
  for api in string.gmatch(apis, '[^,]+') do
    local at = report.succeeded[api]
    if type(at) == 'number' and at <= report.at + 1 and (report.at - at) * 1000 + now - written <= fresh then
      return true
    end
  end
  return false
end

local function well(one, report, written)
  local missing = type(report.unreached) == 'table' and #report.unreached > 0
  return one ~= id and not missing and not redis.call('ZSCORE', standing, one) and succeeded(report, written)
end

local live, other = 0, false
local heard = redis.call('ZRANGE', replicas, 0, limit - 1, 'REV', 'WITHSCORES')
for n = 1, #heard, 2 do
  local one, written = heard[n], tonumber(heard[n + 1])
  local text = written <= now + AHEAD and now - written <= fresh and redis.call('GET', prefix .. one)
  local read, report = pcall(cjson.decode, text or '')
  if read and type(report) == 'table' and report.draining ~= true then
    live = live + 1
    other = other or well(one, report, written)
  end
end

if not other or 2 * (redis.call('ZCARD', standing) + 1) > live then return 0 end
redis.call('ZADD', standing, now + lease, id)
redis.call('PEXPIRE', standing, lease)
return 1
