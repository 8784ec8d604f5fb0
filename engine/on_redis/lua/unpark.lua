-- uses: places bells
-- Queue again up to `limit` of what was set aside for one reason: why, now, limit. Answers how many.

local ids = call('ZRANGE', P .. 'parked:' .. ARGV[1], 0, ARGV[3] - 1)
for _, id in ipairs(ids) do
  leave(id)
  stand_ready(id)
  event(id, call('HGET', job_key(id), 'seq'), 'unparked', by_hand(ARGV[2], '0'))
end
ring(filled)
return #ids
