-- uses: places kv
-- Begins or ends waiting for the end of a job, or for a key. Arguments: id, name of the waiting process, 1 to begin or
-- 0 to end, kv or revocations, now. Returns 1 if it has ended or exists already.

local id, name = ARGV[1], ARGV[2] .. ' '
local names = call('HGET', P .. 'waiters', id) or ''
if ARGV[3] == '0' then
  local from, to = string.find(names, name, 1, true)
  if from then
    names = string.sub(names, 1, from - 1) .. string.sub(names, to + 1)
    if names == '' then call('HDEL', P .. 'waiters', id) else call('HSET', P .. 'waiters', id, names) end
  end
  call('DEL', P .. 'wait:' .. ARGV[2])
  return 0
end
if call('HGET', job_key(id), 'place') == 'ended' then return 1 end
if value_of(ARGV[4], id, ARGV[5]) then return 1 end
if not string.find(names, name, 1, true) then call('HSET', P .. 'waiters', id, names .. name) end
return 0
