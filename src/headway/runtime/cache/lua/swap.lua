-- Write a value through as put.lua does, if what lies there is still what the caller has seen.
-- KEYS: value, lease, fence, clock, barrier of everything.
-- ARGV: ttl ms, grace ms, body, fence ms, channel, message, the stamp seen ("0": nothing),
-- "1" when what was seen counted (else a barrier may be above it).
-- Returns {stamp, now ms}; {} when another has written, or everything was cleared.
local there = redis.call('GETRANGE', KEYS[1], 0, 17)
local standing = 0
if #there == 18 and there:sub(17, 18) == 'H1' then
  local _, stamp = struct.unpack('>dd', there)
  standing = stamp
end
local seen = tonumber(ARGV[7])
if standing ~= seen then return {} end
if ARGV[8] == '1' and (tonumber(redis.call('GET', KEYS[5])) or 0) > seen then return {} end
local t = redis.call('TIME')
local now_us = t[1] * 1000000 + t[2]
local stamp = math.max(now_us, redis.call('INCRBY', KEYS[4], 0) + 1)
local text = string.format('%.0f', stamp)
redis.call('SET', KEYS[4], text)
redis.call('SET', KEYS[3], text, 'PX', ARGV[4])
redis.call('DEL', KEYS[2])
local expires_ms = now_us / 1000 + ARGV[1]
redis.call('SET', KEYS[1], struct.pack('>dd', expires_ms, stamp) .. ARGV[3], 'PX', math.ceil(ARGV[1] + ARGV[2]))
redis.call('PUBLISH', ARGV[5], struct.pack('>d', stamp) .. ARGV[6])
return {text, string.format('%.3f', now_us / 1000)}
