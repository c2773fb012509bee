-- Give a lease back, or renew it. KEYS: lease.  ARGV: token, ms ("0": give it back). Returns 1 when it was the caller's.
redis.call('HDEL', KEYS[1], '-') -- a first write that a server out of memory allows: then it allows the others
if redis.call('HSETNX', KEYS[1], ARGV[1], 1) == 1 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 0
end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
