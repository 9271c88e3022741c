-- What says whether an invitation or a visit is over: when its room was closed last ('0' for never, in
-- milliseconds), and its mark ('' for none).
-- returns: 2: closed, mark
-- reads
-- keys: closed mark
return {string.match(redis.call('GET', closed) or '0', '^%d+'), redis.call('GET', mark) or ''}
