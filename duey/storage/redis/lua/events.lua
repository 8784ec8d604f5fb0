-- uses: places look
-- The oldest events, each with what its job adds: how many, and how many bytes they may have together (one comes
-- always). Answers how many were of jobs that are removed by now (these are removed as well), then for each: number,
-- kind, told, detail, id, m, whether it carries the call (enqueued, retried), body (else only its head), result (with
-- done).

local answer, bytes, stale = {0}, 0, {}

for _, entry in ipairs(call('XRANGE', P .. 'events', '-', '+', 'COUNT', ARGV[1])) do
  local e = {}
  for i = 1, #entry[2], 2 do e[entry[2][i]] = entry[2][i + 1] end
  local counted = e.k == 'counted'  -- of no job
  local seq, m = unpack(counted and {'', ''} or call('HMGET', job_key(e.j), 'seq', 'm'))
  local whole_call = e.k == 'enqueued' or e.k == 'retried'
  local body = counted and '' or seq == e.s and (whole_call and call('GET', P .. 'body:' .. e.j) or head_of(e.j))
  if not body then
    stale[#stale + 1] = entry[1]
  else
    local result = e.k == 'done' and call('GET', P .. 'result:' .. e.j)
    bytes = bytes + #e.e + #(e.d or '') + #body + #(result or '')
    if bytes > tonumber(ARGV[2]) and #answer > 1 then break end
    answer[#answer + 1] = {entry[1], e.k, e.e, e.d or false, e.j, m, whole_call and 1 or 0, body, result}
  end
end
call_many('XDEL', P .. 'events', stale)
answer[1] = #stale
return answer
