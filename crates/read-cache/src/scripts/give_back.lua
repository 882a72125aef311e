-- KEYS: a key. ARGV: a lease. Ends the lease if it lives.
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
