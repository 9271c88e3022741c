-- Keep one value until it is taken back, which an empty one does.
-- returns: nothing
-- keys: value
-- args: text
if text == '' then redis.call('DEL', value) else redis.call('SET', value, text) end
return 1
