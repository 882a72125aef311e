-- KEYS: what a batch has changed, those with a new body first. ARGV: the batch's tombstone, how many
-- have a body, then for each of them the body and when it lapses. Answers how many bodies stand now.
local own, bodies, stand = ARGV[1], tonumber(ARGV[2]), 0
for place, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  if held == own and place <= bodies then
    redis.call('SET', key, ARGV[1 + 2 * place], 'PXAT', ARGV[2 + 2 * place])
    stand = stand + 1
  elseif held == own or type(held) ~= 'string' or string.sub(held, 1, 1) ~= 't' then
    redis.call('DEL', key)
  end
end
return stand
