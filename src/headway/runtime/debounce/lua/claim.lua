-- Take one act that is due; another process takes it when it is not done within the lease.
-- KEYS: due, work, calls.  ARGV: lease ms.
-- Returns {key, payload, count, tries}, or {ms until the next is due} (-1: none).
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local next = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #next == 0 then return {-1} end
if tonumber(next[2]) > now then return {math.ceil(next[2] - now)} end
local key = next[1]
redis.call('ZADD', KEYS[1], now + ARGV[1], key)
redis.call('HDEL', KEYS[3], key .. ':first')
local tries = redis.call('HINCRBY', KEYS[3], key .. ':tries', 1)
return {key, redis.call('HGET', KEYS[2], key), redis.call('HGET', KEYS[3], key .. ':count'), tries}
