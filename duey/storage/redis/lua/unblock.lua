-- uses: full places wakeup
-- Queues again up to `limit` jobs that were set aside for one reason. Arguments: why, now, limit. Returns how many.

local why = ARGV[1]
local ids = call('ZRANGE', P .. 'blocked:' .. why, 0, ARGV[3] - 1)
local left = {}
at_once = math.max(1, #ids)
for _, id in ipairs(ids) do
  local queue, rank, seq = unpack(call('HMGET', job_key(id), 'queue', 'rank', 'seq'))
  if queue then
    to_ready(id, queue, rank, seq)
    call('HSET', job_key(id), 'place', 'ready')
    event(id, seq, 'unblocked', manual_token(ARGV[2], '0'))
    left[queue] = (left[queue] or 0) + 1
  end
end
call_many('ZREM', P .. 'blocked:' .. why, ids)
call_many('ZREM', P .. 'unknown', ids)
for queue, count in pairs(left) do
  if call('HINCRBY', P .. 'blocked_in', queue, -count) <= 0 then call('HDEL', P .. 'blocked_in', queue) end
end
if call('EXISTS', P .. 'blocked:' .. why) == 0 then call('SREM', P .. 'block_reasons', why) end
wake(filled)
return #ids
