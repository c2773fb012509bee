-- Store what was loaded, unless something was invalidated or stored since the load began; give the lease back.
-- KEYS: value, lease, fence, barrier of each tag...  ARGV: token, stamp, ttl ms, grace ms, body.
-- Returns 1: stored; 0: refused.
-- The first write is one that a server out of memory refuses: so it refuses the value (after a first write it refuses no more).
-- What is looked up here is no reading of the cache: the server's own hit rate must not move by it.
local stamp = tonumber(ARGV[2])
local wanted = stamp_of(KEYS[1]) <= stamp and 1 or 0
for i = 3, #KEYS do
  if redis.call('MEMORY', 'USAGE', KEYS[i]) and tonumber(redis.call('GET', KEYS[i])) > stamp then wanted = 0 end
end
if wanted == 1 then
  local t = redis.call('TIME')
  local expires_ms = t[1] * 1000 + t[2] / 1000 + ARGV[3]
  redis.call('SET', KEYS[1], struct.pack('>dd', expires_ms, stamp) .. ARGV[5], 'PX', math.ceil(ARGV[3] + ARGV[4]))
end
if redis.call('HSETNX', KEYS[2], ARGV[1], 1) == 0 then redis.call('DEL', KEYS[2]) else redis.call('HDEL', KEYS[2], ARGV[1]) end
return wanted
