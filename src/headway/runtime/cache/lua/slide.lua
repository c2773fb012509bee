-- Begin an entry's ttl anew, if it is still the same entry.
-- KEYS: value.  ARGV: stamp, ttl ms, grace ms, the whole life of the entry, ms.
-- Returns 1: done; 0: it is another, or gone.
local there = redis.call('GETRANGE', KEYS[1], 0, 17)
if #there < 18 or there:sub(17, 18) ~= 'H1' then return 0 end
local expires_ms, stamp = struct.unpack('>dd', there)
if stamp ~= tonumber(ARGV[1]) then return 0 end
local t = redis.call('TIME')
local now_ms = t[1] * 1000 + t[2] / 1000
local last_ms = stamp / 1000 + ARGV[4]
local until_ms = math.min(now_ms + ARGV[2], last_ms)
if until_ms <= expires_ms then return 0 end
redis.call('SETRANGE', KEYS[1], 0, struct.pack('>d', until_ms))
redis.call('PEXPIRE', KEYS[1], math.ceil(until_ms - now_ms + ARGV[3]))
return 1
