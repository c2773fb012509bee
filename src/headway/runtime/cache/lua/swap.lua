-- Write a value through as put.lua does, if what lies there is still what the caller has seen.
-- KEYS: value, lease, fence, clock, then, when what was seen counted, the barriers of its tags.
-- ARGV: ttl ms, grace ms, body, fence ms, channel, message, the stamp seen ("0": nothing).
-- Returns {stamp, now ms}; {} when another has written, or what was seen counts no longer.
-- What is looked up here is no reading of the cache: the server's own hit rate must not move by it.
local seen = tonumber(ARGV[7])
if stamp_of(KEYS[1]) ~= seen then return {} end
for i = 5, #KEYS do
  if redis.call('MEMORY', 'USAGE', KEYS[i]) and tonumber(redis.call('GET', KEYS[i])) > seen then return {} end
end
return written()
