-- Take the lease on a key, or say what is there instead.
-- KEYS: value, lease, clock.  ARGV: token, lease ms, the stamp the caller knows ("0": none).
-- Returns {1, stamp, now ms}: the lease is the caller's, and its load counts from the stamp;
--         {0}: another's; {2, value}: a newer value has come.
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local value = redis.call('GET', KEYS[1])
if value and #value >= 24 and value:sub(17, 18) == 'H1' then
  local _, stamp = struct.unpack('>dd', value)
  if stamp > tonumber(ARGV[3]) then return {2, value} end
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return {0} end
-- Deleting nothing is a first write that a server out of memory allows; the few bytes after it keep a stampede away.
if not holder then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
-- A logical clock: the server's time, but never twice the same and never back, also when that clock is set back.
local stamp = math.max(now_us, (tonumber(redis.call('GET', KEYS[3])) or 0) + 1)
redis.call('SET', KEYS[3], string.format('%.0f', stamp))
return {1, string.format('%.0f', stamp), string.format('%.3f', now_us / 1000)}
