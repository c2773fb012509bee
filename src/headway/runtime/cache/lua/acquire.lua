-- Take the lease on a key, or say what is there instead. The lease is a hash: its holder's token, and how often it was asked.
-- KEYS: value, lease, clock.  ARGV: token, lease ms, the stamp the caller knows ("0": none).
-- Returns {1, stamp, now ms}: the lease is the caller's, and its load counts from the stamp;
--         {0}: another's; {2, value}: a newer value has come.
-- What is looked up here beside the value is no reading of the cache: the server's own hit rate must not move by it.
redis.call('HDEL', KEYS[2], '-') -- a first write that a server out of memory allows: then it allows the few bytes after it
if stamp_of(KEYS[1]) > tonumber(ARGV[3]) then return {2, redis.call('GET', KEYS[1])} end
if redis.call('HINCRBY', KEYS[2], 'asked', 1) > 1 and redis.call('HSETNX', KEYS[2], ARGV[1], 1) == 1 then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return {0}
end
redis.call('HSET', KEYS[2], ARGV[1], 1)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
-- A logical clock: the server's time, but never twice the same and never back, also when that clock is set back.
local stamp = math.max(now_us, redis.call('INCRBY', KEYS[3], 0) + 1)
redis.call('SET', KEYS[3], string.format('%.0f', stamp))
return {1, string.format('%.0f', stamp), string.format('%.3f', now_us / 1000)}
