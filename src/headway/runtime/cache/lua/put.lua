-- Write a value through: newer than every load that has begun. Other processes drop their copies.
-- KEYS: value, lease, fence, clock.  ARGV: ttl ms, grace ms, body, fence ms, channel, message.
-- Returns {stamp, now ms}.
return written()
