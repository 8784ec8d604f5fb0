-- uses: places
-- Removes at most `limit` of each kind of what has expired. Arguments: now, limit. Returns whether there may be more. A
-- job is removed only after its events were read.

local now, limit = ARGV[1], tonumber(ARGV[2])
local unread = call('XRANGE', P .. 'outbox', '-', '+', 'COUNT', 1)[1]
unread = unread and tonumber(string.match(unread[1], '^%d+'))
local removed = 0
local ids = call('ZRANGEBYSCORE', P .. 'gone', '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  local ended_by = call('HGET', job_key(id), 'ev')
  if not unread or not ended_by or tonumber(ended_by) < unread then
    leave(id)
    remove(id)
    removed = removed + 1
  end
end
local keys = call('ZRANGEBYSCORE', P .. 'kv_gone', '-inf', now, 'LIMIT', 0, limit)
call_many('HDEL', P .. 'kv', keys)
call_many('ZREM', P .. 'kv_gone', keys)
for _, unique in ipairs(call('ZRANGEBYSCORE', P .. 'unique_locks_gone', '-inf', now, 'LIMIT', 0, limit)) do
  drop_key(unique)
end
return (removed == limit or #keys == limit) and 1 or 0
