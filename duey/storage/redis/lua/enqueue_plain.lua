-- uses:
-- Accepts jobs that are all new and have no unique key, at half of the cost of enqueue_jobs. Arguments: how many jobs,
-- and for each what lib_insert.lua names. Returns 1; or nothing, and stores nothing, if a job with one of the ids exists.

local count, seen, filled, due_in = tonumber(ARGV[1]), {}, {}, {}
for i = 2, 1 + 10 * count, 10 do
  if seen[ARGV[i]] or call('EXISTS', P .. 'job:' .. ARGV[i]) == 1 then return false end
  seen[ARGV[i]] = true
end
local seq, number = call('INCRBY', P .. 'seq', count) - count, call('INCRBY', P .. 'event', count) - count
for i = 2, 1 + 10 * count, 10 do
  local id, body, m, rank, queue, task, at, _, chord, sequel = unpack(ARGV, i, i + 9)
  local key = P .. 'job:' .. id
  seq, number = seq + 1, number + 1
  local whole = string.format('%.0f', seq)
  local place = at == '' and 'ready' or 'scheduled'
  call('HSET', key, 'seq', whole, 'queue', queue, 'task', task, 'rank', rank, 'm', m, 'place', place)
  if chord ~= '' then call('HSET', key, 'chord', chord) end
  if sequel ~= '' then call('HSET', key, 'sequel', sequel) end
  call('SET', P .. 'body:' .. id, body)
  call('ZADD', P .. 'live', whole, id)
  if at == '' then
    call('ZADD', P .. 'ready:' .. queue, rank, string.format('%016.0f', seq) .. id)
    if not filled[queue] then call('SADD', P .. 'queues', queue) end
    filled[queue] = (filled[queue] or 0) + 1
  else
    call('ZADD', P .. 'scheduled', at, id)
    due_in[queue] = true
  end
  call('XADD', P .. 'outbox', string.format('%.0f-0', number), 'j', id, 's', whole, 'k', 'enqueued', 'e',
    '["0:0",' .. string.match(m, '^[^,]*') .. ',null,0]')
end
if call('EXISTS', P .. 'sleepers') == 1 then
  -- here: wakeup
  -- One sleeping worker must learn when the next job is due.
  for queue in pairs(due_in) do filled[queue] = filled[queue] or 1 end
  wake(filled)
end
return 1
