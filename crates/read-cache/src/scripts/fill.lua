-- KEYS: a key, its trust key. ARGV: a lease, the generation it was granted under, a body, its
-- milliseconds. Answers whether the body stands now.
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if redis.pcall('GET', KEYS[2]) ~= ARGV[2] then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
