-- KEYS: a key, its trust key, its window. ARGV: a lease, its milliseconds.
-- Answers what stands in the way, or the generation to fill with.
local trust = redis.pcall('GET', KEYS[2])
if type(trust) ~= 'string' then
  return {'untrusted'}
end
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' then
  local first = string.sub(held, 1, 1)
  if first == 't' then
    return {'tombstone'}
  elseif first == 'l' then
    return {'lease'}
  elseif string.sub(held, 1, #trust + 1) == trust .. ' ' then
    return {'body', held}
  end
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  return {'window'}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'granted', trust}
