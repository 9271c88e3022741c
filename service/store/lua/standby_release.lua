-- A replica does not stand aside any more.
-- returns: 1 if the replica stood aside, else 0
-- keys: standing
-- args: id
return redis.call('ZREM', standing, id)
