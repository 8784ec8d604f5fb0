-- uses: places
-- Removes at most `limit` of each kind of what has expired. Arguments: now, limit. Returns whether there may be more. A
-- job is removed only after its events were read, or compacted. One that is not removed is examined again a minute later,
-- so that it does not hold up those behind it: if nothing records, the oldest ones keep their events for ever.

local now, limit = ARGV[1], tonumber(ARGV[2])
local LOOK_AGAIN_S = 60
local unread = call('XRANGE', P .. 'outbox', '-', '+', 'COUNT', 1)[1]
unread = unread and tonumber(string.match(unread[1], '^%d+'))
local put_off = {}
local ids = call('ZRANGEBYSCORE', P .. 'gone', '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  local ended_by = call('HGET', job_key(id), 'ev')
  if not unread or not ended_by or tonumber(ended_by) < unread then
    leave(id)
    remove(id)
  else
    put_off[#put_off + 1] = string.format('%.6f', now + LOOK_AGAIN_S)
    put_off[#put_off + 1] = id
  end
end
call_many('ZADD', P .. 'gone', put_off)
local keys = call('ZRANGEBYSCORE', P .. 'kv_gone', '-inf', now, 'LIMIT', 0, limit)
call_many('HDEL', P .. 'kv', keys)
call_many('ZREM', P .. 'kv_gone', keys)
for _, unique in ipairs(call('ZRANGEBYSCORE', P .. 'unique_locks_gone', '-inf', now, 'LIMIT', 0, limit)) do
  drop_key(unique)
end
return (#ids == limit or #keys == limit) and 1 or 0
