-- A replica does not stand aside any more.
-- keys: standing
-- args: id
return redis.call('ZREM', standing, id)
