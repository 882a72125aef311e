-- KEYS: windows, then the keys that have a tombstone, those with a new body first. ARGV: the batch's
-- tombstone, how many of KEYS are windows, how many keys have a body, then for each of them the body
-- and when it lapses. Answers how many bodies stand now.
local own, windows, bodies, stand = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), 0
for place = 1, windows do
  if redis.pcall('GET', KEYS[place]) == own then
    redis.call('DEL', KEYS[place])
  end
end
for place = 1, #KEYS - windows do
  local key = KEYS[windows + place]
  local held = redis.pcall('GET', key)
  if held == own and place <= bodies then
    redis.call('SET', key, ARGV[2 + 2 * place], 'PXAT', ARGV[3 + 2 * place])
    stand = stand + 1
  elseif held == own or type(held) ~= 'string' or string.sub(held, 1, 1) ~= 't' then
    redis.call('DEL', key)
  end
end
return stand
