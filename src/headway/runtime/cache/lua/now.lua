-- The clock of the server that has the keys. KEYS: clock (only says which server). Returns {seconds, microseconds}.
return redis.call('TIME')
