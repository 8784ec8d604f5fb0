-- Stores a new job. Its ten arguments: id, body, m, rank, queue, task, at (empty: ready now), unique, chord, sequel.
-- unique: empty, or letters (s, t: see lib_places; r: replaces a waiting holder; x: is refused if its key is held),
-- seconds (or nothing), `=` and the key.

local JOB = 10

local function key_of(argument) return string.match(argument, '^(%a*[^=]*)(=.*)$') end

-- Returns true if it was stored, false if a job with this id exists, otherwise the id of the job that holds its unique
-- key.
local function insert(a, i, now)
  local id, hold, unique = a[i], nil, nil
  if a[i + 7] ~= '' then
    hold, unique = key_of(a[i + 7])
    local holder = holder_of(unique, now)
    if holder then return holder end
  end
  local key = job_key(id)
  if call('EXISTS', key) == 1 then return false end
  local seq = number_of('seq')
  local m, rank, queue, task, at = a[i + 2], a[i + 3], a[i + 4], a[i + 5], a[i + 6]
  local place = at == '' and 'ready' or 'scheduled'
  call('HSET', key, 'seq', seq, 'queue', queue, 'task', task, 'rank', rank, 'm', m, 'place', place)
  call('SET', P .. 'body:' .. id, a[i + 1])
  call('ZADD', P .. 'live', seq, id)
  if unique then
    call('HSET', key, 'unique', unique, 'hold', hold)
    take_key(unique, hold, id, now)
  end
  if at == '' then
    to_ready(id, queue, rank, seq)
  else
    to_due(id, 'scheduled', at, queue)
  end
  if a[i + 8] ~= '' then call('HSET', key, 'chord', a[i + 8]) end
  if a[i + 9] ~= '' then call('HSET', key, 'sequel', a[i + 9]) end
  event(id, seq, 'enqueued', '["0:0",' .. string.match(m, '^[^,]*') .. ',null,0]')
  return true
end
