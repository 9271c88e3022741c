-- How many wrong PINs there have been in the hour.
-- returns: number: wrong PINs of the hour
-- reads
-- keys: wrong
return redis.call('SCARD', wrong)
