-- KEYS: trust keys, each followed by the key of its mark. ARGV: when trust lapses, then for each trust
-- key its generation, and the run id, the replication id and the mark of the Redis that the
-- generation was agreed with. Answers for each trust key: 0 it lives on, 1 the Redis is another one
-- or was emptied, 2 a higher generation stands there.
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local run = string.match(info, 'run_id:(%x+)')
local replication = string.match(info, 'master_replid:(%x+)')
local answer = {}
for place = 1, #KEYS / 2 do
  local trust, mark, at = KEYS[2 * place - 1], KEYS[2 * place], 4 * place - 2
  local held = redis.pcall('GET', trust)
  held = type(held) == 'string' and tonumber(held)
  if run ~= ARGV[at + 1] or replication ~= ARGV[at + 2]
    or redis.pcall('GET', mark) ~= ARGV[at + 3] then
    answer[place] = 1
  elseif held and held > tonumber(ARGV[at]) then
    answer[place] = 2
  else
    redis.call('SET', trust, ARGV[at], 'PXAT', ARGV[1])
    answer[place] = 0
  end
end
return answer
