-- Forget a dead letter.
-- returns: 1 if the letter was there, else 0
-- keys: dead
-- args: letter
return redis.call('ZREM', dead, letter)
