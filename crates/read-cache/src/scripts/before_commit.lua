-- KEYS: what a batch is about to change. ARGV: its tombstone, the tombstone's milliseconds.
-- Answers for each key that held a body: its place in KEYS, when the body would have lapsed.
local hot = {}
for place, key in ipairs(KEYS) do
  local lapses = redis.call('PEXPIRETIME', key)
  if lapses > 0 then
    local held = redis.pcall('SET', key, ARGV[1], 'PX', ARGV[2], 'GET')
    if type(held) == 'table' then
      -- Not a string: nothing of ours.
      redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    elseif held and string.find(held, '^%d') then
      hot[#hot + 1] = place
      hot[#hot + 1] = lapses
    end
  else
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
  end
end
return hot
