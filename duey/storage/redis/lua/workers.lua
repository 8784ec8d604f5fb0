-- uses: places
-- Returns every registered worker: n, whether its lease is valid, its fields, and id and task of each job that it
-- holds.

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
local leases = call('ZRANGE', P .. 'leases', 0, -1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local n = leases[i]
  local row = call('HMGET', P .. 'worker:' .. n, 'host', 'pid', 'started_at', 'beat_at', 'threads', 'kind', 'queues',
    'quiet', 'running', 'code', 'consumer', 'ahead')
  local held, jobs = call('HGETALL', P .. 'claimed:' .. n), {}
  for k = 1, #held, 2 do
    jobs[#jobs + 1] = held[k]
    jobs[#jobs + 1] = held[k + 1]
    jobs[#jobs + 1] = call('HGET', job_key(held[k + 1]), 'task')
  end
  answer[#answer + 1] = {n, tonumber(leases[i + 1]) >= now and 1 or 0, row, jobs}
end
return answer
