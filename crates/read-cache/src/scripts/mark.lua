-- KEYS: the keys of some marks. ARGV: the mark. Answers which Redis it is left in.
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1])
end
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
return {
  string.match(info, 'run_id:(%x+)') or '', string.match(info, 'master_replid:(%x+)') or '',
}
