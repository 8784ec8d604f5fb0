-- uses:
-- Accepts jobs that are all new and have no unique key, at half of the cost of enqueue_jobs. Arguments: how many jobs,
-- and for each what lib_insert.lua names. Returns 1; or nothing, and stores nothing, if a job with one of the ids exists.
-- Each call of Redis costs about a microsecond, so there is none that another one makes superfluous. A number may be
-- an argument as it is: Redis writes it with 17 digits.

local count, body_of = tonumber(ARGV[1]), P .. 'body:'
if count > 1 then
  local seen = {}
  for i = 2, 1 + 10 * count, 10 do
    if seen[ARGV[i]] or call('EXISTS', body_of .. ARGV[i]) == 1 then return false end
    seen[ARGV[i]] = true
  end
end
-- A job has a body as long as it is there at all.
if not call('SET', body_of .. ARGV[2], ARGV[3], 'NX') then return false end
local seq, number = call('INCRBY', P .. 'seq', count) - count, call('INCRBY', P .. 'event', count) - count
local filled = {}  -- queue -> how many jobs are ready; 0: they are due later
for i = 2, 1 + 10 * count, 10 do
  local id, body, m, rank, queue, task, at, _, chord, sequel = unpack(ARGV, i, i + 9)
  local key = P .. 'job:' .. id
  seq, number = seq + 1, number + 1
  if i > 2 then call('SET', body_of .. id, body) end
  call('HSET', key, 'seq', seq, 'queue', queue, 'task', task, 'rank', rank, 'm', m, 'place',
    at == '' and 'ready' or 'scheduled')
  if chord ~= '' then call('HSET', key, 'chord', chord) end
  if sequel ~= '' then call('HSET', key, 'sequel', sequel) end
  call('ZADD', P .. 'live', seq, id)
  if at == '' then
    call('ZADD', P .. 'ready:' .. queue, rank, string.format('%016.0f', seq) .. id)
    if (filled[queue] or 0) == 0 then call('SADD', P .. 'queues', queue) end
    filled[queue] = (filled[queue] or 0) + 1
  else
    call('ZADD', P .. 'scheduled', at, id)
    filled[queue] = filled[queue] or 0
  end
  call('XADD', P .. 'outbox', string.format('%.0f-0', number), 'j', id, 's', seq, 'k', 'enqueued', 'e',
    '["0:0",' .. string.match(m, '^[^,]*') .. ',null,0]')
end
if call('EXISTS', P .. 'sleepers') == 1 then
  -- here: wakeup
  -- One sleeping worker must learn when the next job is due.
  for queue, jobs in pairs(filled) do filled[queue] = math.max(1, jobs) end
  wake(filled)
end
return 1
