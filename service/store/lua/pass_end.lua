-- An invitation or a visit is over from now on. With `listed` only one that is open, or was
-- ended before, can be: another may never have been, or an invitation has become a visit meanwhile.
-- returns: 1 if it is over, else 0
-- uses: passes
-- keys: passes ends mark
-- args: field listed life
local there = passes_drop(passes, ends, field) == 1
if there or listed == '0' then redis.call('SET', mark, ENDED, 'PX', life, 'NX') end
return redis.call('GET', mark) == ENDED and 1 or 0
