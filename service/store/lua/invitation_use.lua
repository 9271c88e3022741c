-- An invitation becomes one visit, once: 'opened' when it is this one, also when it was before; 'used' when it
-- is another; 'over' when it was ended, or the room was closed after the last closing that it knows of (`known`).
-- returns: text: opened, used or over
-- uses: passes
-- keys: used passes ends closed
-- args: now known visit ttl invitation_field visit_field record till life
if passes_closed(closed) > tonumber(known) then return 'over' end
redis.call('SET', used, visit, 'PX', ttl, 'NX')
local became = redis.call('GET', used)
if became == ENDED then return 'over' end
if became ~= visit then return 'used' end
passes_prune(passes, ends, now)
passes_drop(passes, ends, invitation_field)
passes_add(passes, ends, visit_field, record, till, life)
return 'opened'
