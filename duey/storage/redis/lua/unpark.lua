-- uses: places bells
-- Queues again up to `limit` jobs that were set aside for one reason. Arguments: why, now, limit. Returns how many.

local why = ARGV[1]
local ids = call('ZRANGE', P .. 'parked:' .. why, 0, ARGV[3] - 1)
local left = {}
at_once = math.max(1, #ids)
for _, id in ipairs(ids) do
  local queue, rank, seq = unpack(call('HMGET', job_key(id), 'queue', 'rank', 'seq'))
  if queue then
    to_ready(id, queue, rank, seq)
    call('HSET', job_key(id), 'place', 'ready')
    event(id, seq, 'unparked', by_hand(ARGV[2], '0'))
    left[queue] = (left[queue] or 0) + 1
  end
end
call_many('ZREM', P .. 'parked:' .. why, ids)
call_many('ZREM', P .. 'unknown', ids)
for queue, count in pairs(left) do
  if call('HINCRBY', P .. 'parked_in', queue, -count) <= 0 then call('HDEL', P .. 'parked_in', queue) end
end
if call('EXISTS', P .. 'parked:' .. why) == 0 then call('SREM', P .. 'reasons', why) end
ring(filled)
return #ids
