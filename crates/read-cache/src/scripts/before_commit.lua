-- KEYS: marks of partitions, windows, then what a batch is about to change. ARGV: its tombstone, the
-- tombstone's milliseconds, how many of KEYS are marks, how many windows, 1 if every other key is to
-- get a tombstone or 0 if windows cover those that are absent; then for each mark the run id, the
-- replication id and the mark of the Redis that the cache generation was agreed with. Answers for
-- each tombstone: its place after the windows, and when the body that it replaces would have lapsed,
-- or 0 if there was none; or -1 alone, and nothing is done, where the Redis is another one or was
-- emptied.
local own, time, marks, windows = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local every = ARGV[5] == '1'
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local run = string.match(info, 'run_id:(%x+)')
local replication = string.match(info, 'master_replid:(%x+)')
for place = 1, marks do
  local at = 3 + 3 * place
  if run ~= ARGV[at] or replication ~= ARGV[at + 1]
    or redis.pcall('GET', KEYS[place]) ~= ARGV[at + 2] then
    return { -1 }
  end
end
for place = marks + 1, marks + windows do
  redis.call('SET', KEYS[place], own, 'PX', time)
end
local before = marks + windows
if #KEYS == before or not every and redis.call('EXISTS', unpack(KEYS, before + 1)) == 0 then
  return {}
end
local set = {}
for place = before + 1, #KEYS do
  local key = KEYS[place]
  local lapses = redis.call('PEXPIRETIME', key)
  if every or lapses ~= -2 then
    local held = redis.pcall('SET', key, own, 'PX', time, 'GET')
    if type(held) == 'table' then
      -- Not a string: nothing of ours.
      redis.call('SET', key, own, 'PX', time)
    end
    local hot = lapses > 0 and type(held) == 'string' and string.find(held, '^%d')
    set[#set + 1] = place - before
    set[#set + 1] = hot and lapses or 0
  end
end
return set
