-- uses: places limits claim
-- Returns what worker n holds: host, pid, what it runs, then for each claim whether it was asked to stop and the claim
-- itself. Nothing if n is unknown.

local n = ARGV[1]
local row = call('HMGET', P .. 'worker:' .. n, 'host', 'pid', 'running')
if not row[1] then return false end
local answer = {row[1], row[2], row[3] or ''}
local held = call('HGETALL', P .. 'claimed:' .. n)
for i = 1, #held, 2 do
  local claim = handed_over(held[i + 1], held[i])  -- only the first of its results
  if claim then
    answer[#answer + 1] = call('SISMEMBER', P .. 'cancel_requests', call('HGET', job_key(held[i + 1]), 'seq'))
    answer[#answer + 1] = claim
  end
end
return answer
