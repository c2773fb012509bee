-- Forget keys: the value and the lease go, and no load that has begun may store. Other processes drop their copies.
-- KEYS: clock, then value, lease, fence of each key.  ARGV: fence ms, channel, message.
-- Returns the stamp.
-- Deleting first also lets the writes after it through when the server is out of memory.
for i = 2, #KEYS, 3 do redis.call('DEL', KEYS[i], KEYS[i + 1]) end
local t = redis.call('TIME')
local stamp = math.max(t[1] * 1000000 + t[2], redis.call('INCRBY', KEYS[1], 0) + 1)
local text = string.format('%.0f', stamp)
redis.call('PUBLISH', ARGV[2], struct.pack('>d', stamp) .. ARGV[3])
redis.call('SET', KEYS[1], text)
for i = 4, #KEYS, 3 do redis.call('SET', KEYS[i], text, 'PX', ARGV[1]) end
return text
