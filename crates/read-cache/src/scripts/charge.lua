-- KEYS: callers, each with one bucket or several. ARGV: for each of them how many buckets, then for each
-- bucket by how many microseconds later it is full. A key holds the times, in microseconds since 1970, at
-- which its buckets are full, and lapses when all are. Answers for each bucket how far that is from now.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer, at = {}, 1
for _, key in ipairs(KEYS) do
  local buckets = tonumber(ARGV[at])
  local held = redis.pcall('GET', key)
  local full = {}
  if type(held) == 'string' then
    for text in string.gmatch(held, '%d+') do
      full[#full + 1] = tonumber(text)
    end
  end
  local texts, longest = {}, 0
  for bucket = 1, buckets do
    local full_at = math.max(full[bucket] or 0, now) + tonumber(ARGV[at + bucket])
    local debt = full_at - now
    texts[bucket] = string.format('%.0f', full_at)
    answer[#answer + 1] = debt
    longest = math.max(longest, debt)
  end
  redis.call('SET', key, table.concat(texts, ' '), 'PX', string.format('%.0f', math.ceil(longest / 1000) + 1))
  at = at + buckets + 1
end
return answer
