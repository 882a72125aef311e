-- Answers the time, and which Redis this is.
local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
local time = redis.call('TIME')
return {
  tostring(time[1]), tostring(time[2]),
  string.match(info, 'run_id:(%x+)') or '',
  string.match(info, 'master_replid:(%x+)') or '',
  string.match(info, 'role:(%a+)') or '',
}
