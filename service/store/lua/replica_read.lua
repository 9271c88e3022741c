-- What the replicas say of themselves, of so many at most: those of which something was heard last.
--
-- `prefix` is what the keys of the reports begin with: which there are is not known before. They are in the same slot.
-- returns: list of 1: report
-- reads
-- keys: replicas
-- args: prefix limit
local found = {}
for _, id in ipairs(redis.call('ZRANGE', replicas, 0, limit - 1, 'REV')) do
  local report = redis.call('GET', prefix .. id)
  if report then found[#found + 1] = report end
end
return found
