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
return written()
