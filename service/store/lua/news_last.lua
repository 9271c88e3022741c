-- Where a stream of news ends at this moment; '0-0' where there is none.
-- returns: text: the id of the last entry
-- reads
-- keys: news
if redis.call('EXISTS', news) == 0 then return '0-0' end
local info = redis.call('XINFO', 'STREAM', news)
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then return info[i + 1] end
end
