-- uses: full places job
-- Returns the oldest events, joined with their jobs. Arguments: how many, how many bytes together (one event is
-- always returned), and the term of the history that will record them (empty: they are only looked at). Returns nothing if
-- another history owns them, else how many belonged to jobs that were removed (these events are removed too), then for each
-- event: number, kind, event_json, detail, m, whether it includes the call (enqueued, retried, done), body (otherwise only
-- its head), result (of done).
-- The last argument is a mark of this reading, which deleting asks for: see delete_events.

if ARGV[3] ~= '' and ARGV[3] ~= (call('HGET', P .. 'outbox_owner', 'term') or '0') then return false end
local answer, bytes, stale = {0}, 0, {}

for _, entry in ipairs(call('XRANGE', P .. 'outbox', '-', '+', 'COUNT', ARGV[1])) do
  local e = {}
  for i = 1, #entry[2], 2 do e[entry[2][i]] = entry[2][i + 1] end
  local jobless = e.j == ''
  local seq, m = unpack(jobless and {'', ''} or call('HMGET', job_key(e.j), 'seq', 'm'))
  local whole_call = e.k == 'enqueued' or e.k == 'retried' or e.k == 'done'
  local body = jobless and '' or seq == e.s and (whole_call and call('GET', P .. 'body:' .. e.j) or head_of(e.j))
  if not body then
    stale[#stale + 1] = entry[1]
  else
    local result = e.k == 'done' and call('GET', P .. 'result:' .. e.j)
    bytes = bytes + #e.e + #(e.d or '') + #body + #(result or '')
    if bytes > tonumber(ARGV[2]) and #answer > 1 then break end
    answer[#answer + 1] = {entry[1], e.k, e.e, e.d or false, m, whole_call and 1 or 0, body, result}
  end
end
call_many('XDEL', P .. 'outbox', stale)
answer[1] = #stale
if ARGV[3] ~= '' and #answer > 1 then call('HSET', P .. 'outbox_owner', 'read', ARGV[4]) end
return answer
