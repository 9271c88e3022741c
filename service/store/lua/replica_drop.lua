-- A replica has ended in good order.
-- returns: nothing
-- keys: report replicas
-- args: id
redis.call('DEL', report)
redis.call('ZREM', replicas, id)
return 1
