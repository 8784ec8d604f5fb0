-- uses: places limits claim
-- Returns what worker n holds: host, pid, what it runs, then for each claim whether it was asked to stop, whether it is
-- marked as begun, and the claim itself. Nothing if n is unknown.

local n = ARGV[1]
local row = call('HMGET', P .. 'worker:' .. n, 'host', 'pid', 'running')
if not row[1] then return false end
local answer = {row[1], row[2], row[3] or ''}
local held = call('HGETALL', P .. 'claimed:' .. n)
for i = 1, #held, 2 do
  local claim = handed_over(held[i + 1], held[i])  -- only the first of its results
  if claim then
    local seq, begun = unpack(call('HMGET', job_key(held[i + 1]), 'seq', 'begun'))
    answer[#answer + 1] = call('SISMEMBER', P .. 'cancel_requests', seq)
    answer[#answer + 1] = begun == n .. ':' .. held[i] and 1 or 0
    answer[#answer + 1] = claim
  end
end
return answer
