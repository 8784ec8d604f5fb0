-- uses: full places lease wakeup limits insert settle claim
-- Releases the claims of dead worker n, frees its locks and removes its row.
-- Arguments: n, overdue, canceled, now, died, how many outcomes, how many notes, the outcomes, then six arguments for
-- each note: counter, id, m (empty: unchanged), kind and event_json of the event, detail (empty: none).
-- died: detail of the event of its death, empty for none.
-- overdue = 1: do nothing if its lease has not expired. canceled: the counters of the claims that were asked to stop,
-- each between commas. A claim that no outcome and no note names goes back without an event.
-- Returns 1 if it was done, 0 if not, 2 if a claim was asked to stop meanwhile.

local n = ARGV[1]
local worker = P .. 'worker:' .. n
if call('EXISTS', worker) == 0 then return 0 end
if ARGV[2] == '1' then
  local now = lease_now()
  local ends_at = call('ZSCORE', P .. 'leases', n)
  if ends_at and tonumber(ends_at) >= now then return 0 end
end
local held = call('HGETALL', P .. 'claimed:' .. n)
for k = 1, #held, 2 do
  local seq = call('HGET', job_key(held[k + 1]), 'seq')
  if seq and call('SISMEMBER', P .. 'cancel_requests', seq) == 1 and not string.find(ARGV[3], ',' .. held[k] .. ',', 1, true) then
    return 2
  end
end
local now = ARGV[4]
local i = settle_all(ARGV, 8, tonumber(ARGV[6]))
for _ = 1, tonumber(ARGV[7]) do
  local counter, id, m, kind, event_json, detail = unpack(ARGV, i, i + 5)
  if put_back(id, n, counter, now, true) then
    if m ~= '' then
      call('HSET', job_key(id), 'm', m)
    elseif kind == 'rescued' then
      call('HINCRBY', job_key(id), 'trees', 1)  -- the whole consumer died: no job is charged
    end
    event(id, call('HGET', job_key(id), 'seq'), kind, event_json, detail ~= '' and detail or nil)
  end
  i = i + 6
end
for k = 1, #held, 2 do put_back(held[k + 1], n, held[k], now, false) end
unblock_freed(now)
for _, name in ipairs(call('SMEMBERS', P .. 'locks_of:' .. n)) do
  local lock = call('HGET', P .. 'locks', name)
  if lock and string.match(lock, '^([^|]*)|') == n then call('HDEL', P .. 'locks', name) end
end
if ARGV[5] ~= '' and call('HGET', worker, 'kind') ~= 'alone' then
  event('', '', 'died', '["' .. n .. ':0",' .. now .. ',null,0]', ARGV[5])
end
call('DEL', worker, P .. 'claimed:' .. n, P .. 'locks_of:' .. n)
if call('DEL', P .. 'wakeup:' .. n) == 1 then wake_any(1) end  -- it was woken for a job, and did not come
call('ZREM', P .. 'leases', n)
call('ZREM', P .. 'sleepers', n)
wake(filled)
return 1
