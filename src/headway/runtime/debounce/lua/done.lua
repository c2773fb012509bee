-- An act is done. When it was called again meanwhile, it stays recorded and will be fired again.
-- KEYS: fired, due, work, calls.  ARGV: key, count, window ms.  Returns 1: forgotten; 0: there is more to do.
if redis.call('HGET', KEYS[4], ARGV[1] .. ':count') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1] .. ':count', ARGV[1] .. ':tries', ARGV[1] .. ':first')
redis.call('SET', KEYS[1], '1', 'PX', ARGV[3])
return 1
