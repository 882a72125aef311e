-- KEYS: trust keys. ARGV: the run id and the replication id of the Redis that the generations were
-- agreed with, when trust lapses, then the generation of each key.
-- Answers 0 from another Redis; else 1, and the places of the keys that carry a higher generation.
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
if string.match(info, 'run_id:(%x+)') ~= ARGV[1]
  or string.match(info, 'master_replid:(%x+)') ~= ARGV[2] then
  return {0}
end
local answer = {1}
for place, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  held = type(held) == 'string' and tonumber(held)
  if held and held > tonumber(ARGV[3 + place]) then
    answer[#answer + 1] = place
  else
    redis.call('SET', key, ARGV[3 + place], 'PXAT', ARGV[3])
  end
end
return answer
