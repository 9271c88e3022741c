-- Calls of a partition whose refs begin so, newest first; looked for among the `scan` newest.
-- returns: list of 1: ref
-- reads
-- keys: calls
-- args: prefix scan limit
local found = {}
for _, ref in ipairs(redis.call('ZREVRANGE', calls, 0, tonumber(scan) - 1)) do
  if string.sub(ref, 1, #prefix) == prefix then found[#found + 1] = ref end
  if #found == tonumber(limit) then break end
end
return found
