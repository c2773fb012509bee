-- Give a lease back, or renew it. KEYS: lease.  ARGV: token, ms ("0": give it back). Returns 1 when it was the caller's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
