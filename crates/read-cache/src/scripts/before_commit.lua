-- KEYS: windows, then what a batch is about to change. ARGV: its tombstone, the tombstone's
-- milliseconds, how many of KEYS are windows, 1 if every other key is to get a tombstone or 0 if
-- windows cover those that are absent. Answers for each tombstone: its place after the windows, and
-- when the body that it replaces would have lapsed, or 0 if there was none.
local own, time, windows, every = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
for place = 1, windows do
  redis.call('SET', KEYS[place], own, 'PX', time)
end
if #KEYS == windows or not every and redis.call('EXISTS', unpack(KEYS, windows + 1)) == 0 then
  return {}
end
local set = {}
for place = windows + 1, #KEYS do
  local key = KEYS[place]
  local lapses = redis.call('PEXPIRETIME', key)
  if every or lapses ~= -2 then
    local held = redis.pcall('SET', key, own, 'PX', time, 'GET')
    if type(held) == 'table' then
      -- Not a string: nothing of ours.
      redis.call('SET', key, own, 'PX', time)
    end
    local hot = lapses > 0 and type(held) == 'string' and string.find(held, '^%d')
    set[#set + 1] = place - windows
    set[#set + 1] = hot and lapses or 0
  end
end
return set
