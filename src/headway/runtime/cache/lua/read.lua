-- A value and the barriers it may be below. KEYS: value, barriers...  Returns them, nil for what is not there.
-- A barrier that is not there is no miss of the cache: only those that are there are read.
local found = {redis.call('GET', KEYS[1])}
for i = 2, #KEYS do found[i] = redis.call('MEMORY', 'USAGE', KEYS[i]) and redis.call('GET', KEYS[i]) end
return found
