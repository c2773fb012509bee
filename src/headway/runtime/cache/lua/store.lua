-- Store what was loaded, unless something was invalidated or stored since the load began; give the lease back.
-- KEYS: value, lease, fence, barrier of each tag...  ARGV: token, stamp, ttl ms, grace ms, body.
-- Returns 1: stored; 0: refused.
-- The value is the first write, so that a server out of memory refuses it (after a first write it refuses no more).
local stamp = tonumber(ARGV[2])
local wanted = 1
for i = 3, #KEYS do
  if (tonumber(redis.call('GET', KEYS[i])) or 0) > stamp then wanted = 0 end
end
local there = redis.call('GETRANGE', KEYS[1], 0, 17)
if #there == 18 and there:sub(17, 18) == 'H1' then
  local _, newer = struct.unpack('>dd', there)
  if newer > stamp then wanted = 0 end
end
if wanted == 1 then
  local t = redis.call('TIME')
  local expires_ms = t[1] * 1000 + t[2] / 1000 + ARGV[3]
  redis.call('SET', KEYS[1], struct.pack('>dd', expires_ms, stamp) .. ARGV[5], 'PX', math.ceil(ARGV[3] + ARGV[4]))
end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return wanted
