-- Shared by every script that changes what people look at live: one entry in the partition's stream of news.
--
-- An entry's id is a time of the server's clock, so that ids grow even where a stream has expired and begins anew.
-- Who has not read for longer than the stream lives, or has missed more than it holds, is told so (news_read.lua).
-- `rooms`: names with blanks between them, empty for none. `data`: an object as JSON.
-- returns: library

-- Entries that a stream holds, about; and milliseconds for which it lives after the last.
local NEWS_ENTRIES, NEWS_KEPT = 2000, 3600000

local function news_add(news, now, kind, rooms, data)
  redis.call('XADD', news, 'MAXLEN', '~', NEWS_ENTRIES, '*', 'kind', kind, 'at', now, 'rooms', rooms, 'data', data)
  redis.call('PEXPIRE', news, NEWS_KEPT)
end
