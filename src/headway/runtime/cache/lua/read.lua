-- A value and the barriers it may be below. KEYS: value, barriers...
-- Returns the value alone when no barrier is there, as is usual, for a list is dear to parse;
-- else {value, barriers...}, nil for what is not there.
-- A barrier that is not there is no miss of the cache: only those that are there are read.
local found, barred = {redis.call('GET', KEYS[1])}, false
for i = 2, #KEYS do
  found[i] = redis.call('MEMORY', 'USAGE', KEYS[i]) and redis.call('GET', KEYS[i])
  barred = barred or found[i]
end
return barred and found or found[1]
