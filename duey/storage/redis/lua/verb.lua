-- uses: places wakeup limits insert settle job
-- Applies an operation by hand to one job, if the job is still as it was read. Arguments: verb, id, place, token, m,
-- end, now, then
--   finish: the token to end it under, and the outcome
--   stop:   nothing (it runs: it is asked to stop)
--   retry:  m, payload (empty: unchanged), the attempts that ended
--   forget: nothing (it has ended)
-- Returns 1, 0 if it has changed meanwhile, or the id of the job that holds its unique key.

local verb, id = ARGV[1], ARGV[2]
if not unchanged(id, ARGV[3], ARGV[4], ARGV[5], ARGV[6]) then return 0 end
local seq, unique, hold, task = unpack(call('HMGET', job_key(id), 'seq', 'unique', 'hold', 'task'))
if verb == 'finish' then
  leave(id)
  call('HSET', job_key(id), 'place', 'claimed', 'token', ARGV[8])
  settle_all(ARGV, 9, 1)
  free_slots(task, ARGV[7])  -- a limit may have unblocked it: unblock the next one
  wake(filled)
elseif verb == 'stop' then
  call('SADD', P .. 'cancel_requests', seq)
elseif verb == 'retry' then
  local holder = unique and holder_of(unique, ARGV[7])
  if holder and holder ~= id then return holder end
  if call('HGET', job_key(id), 'state') == 'done' then call('DEL', P .. 'checkpoints:' .. id) end
  leave(id)
  if unique then take_key(unique, hold, id, ARGV[7]) end
  call('HSET', job_key(id), 'm', ARGV[8])
  call('HDEL', job_key(id), 'state', 'end', 'ev', 'trees')
  if ARGV[9] ~= '' then call('SET', P .. 'body:' .. id, head_of(id) .. ARGV[9]) end
  make_ready(id)
  call('HDEL', P .. 'progress', seq)
  event(id, seq, 'retried', manual_token(ARGV[7], ARGV[10]))
  wake(filled)
elseif verb == 'forget' then
  leave(id)
  remove(id)
end
return 1
