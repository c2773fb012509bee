-- Put before the scripts that write a value through: it becomes newer than every load that has begun.
-- KEYS: value, lease, fence, clock.  ARGV: ttl ms, grace ms, body, fence ms, channel, message.
-- Gives {stamp, now ms}.
local function written()
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
end
