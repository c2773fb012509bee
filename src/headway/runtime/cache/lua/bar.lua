-- Raise the barrier of each tag: what was loaded before counts no longer. One write a tag, however many entries.
-- KEYS: clock, barriers...  ARGV: barrier ms, channel, message.
-- Returns the stamp.
redis.call('DEL', KEYS[2]) -- a first write that a server out of memory allows: then it allows the others
local t = redis.call('TIME')
local stamp = math.max(t[1] * 1000000 + t[2], redis.call('INCRBY', KEYS[1], 0) + 1)
local text = string.format('%.0f', stamp)
redis.call('SET', KEYS[1], text)
for i = 2, #KEYS do redis.call('SET', KEYS[i], text, 'PX', ARGV[1]) end
redis.call('PUBLISH', ARGV[2], struct.pack('>d', stamp) .. ARGV[3])
return text
