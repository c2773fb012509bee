-- One call of a debounced act.
-- KEYS: fired, due, work, calls.  ARGV: edge (leading, trailing, both), window ms, longest ms, key, payload.
-- Returns 1: fire now; 0: skip; 2: recorded, to be fired when it has been quiet for the window.
local edge, window = ARGV[1], tonumber(ARGV[2])
local waiting = edge ~= 'leading' and redis.call('ZSCORE', KEYS[2], ARGV[4])
if edge ~= 'trailing' and not waiting then
  if redis.call('SET', KEYS[1], '1', 'NX', 'PX', window) then return 1 end
  if edge == 'leading' then return 0 end
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local first = tonumber(redis.call('HGET', KEYS[4], ARGV[4] .. ':first'))
if not first then
  first = now
  redis.call('HSET', KEYS[4], ARGV[4] .. ':first', first)
end
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
redis.call('HINCRBY', KEYS[4], ARGV[4] .. ':count', 1)
redis.call('HDEL', KEYS[4], ARGV[4] .. ':tries')
redis.call('ZADD', KEYS[2], math.min(now + window, math.max(now, first + ARGV[3])), ARGV[4])
return 2
