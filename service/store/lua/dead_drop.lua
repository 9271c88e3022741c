-- Forget a dead letter. Returns whether it was there.
-- keys: dead
-- args: letter
return redis.call('ZREM', dead, letter)
