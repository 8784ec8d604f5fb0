-- Settles claims. An outcome has eight arguments, and those that its flags announce, in this order:
--   state, id, token, event_json (token, instant, start of the body, attempt), flags, result, at, m
--   w  what a job that is to be tried again waits for
--   d  detail of the event
--   n  jobs to come: how many, then the arguments of each (see lib_insert)
--   o  results under ids that are no job: how many, when they expire, then key and value of each
--   c  a chord's part: chord, index, size, value, then the callback as a job
-- flags also holds r when there is a result. `at` is when the ended job may be removed, when a waiting one is due
-- (empty: now), or why a blocked one is set aside. `m` replaces the job's own unless it is empty.

local ENDED = {done = true, failed = true, canceled = true, expired = true}
local lost, stopped = {}, {}
local no_longer_live, gone, ends, settled = {}, {}, {}, {}
local any_stops, any_marks  -- looked up once for each script

local function asked_to_stop(seq)
  if any_stops == nil then any_stops = call('EXISTS', P .. 'cancel_requests') == 1 end
  return any_stops and call('SISMEMBER', P .. 'cancel_requests', seq) == 1
end

local function add_chord_part(a, i, now)
  local chord, index, size, value, callback = a[i], a[i + 1], a[i + 2], a[i + 3], i + 4
  -- If the callback exists, this member ran again after its chord was complete.
  if call('EXISTS', job_key(a[callback])) == 1 then return end
  call('HSETNX', P .. 'chord:' .. chord, index, value)
  if call('HLEN', P .. 'chord:' .. chord) == tonumber(size) then insert(a, callback, now) end
end

local function put_others(a, i, count)
  for j = i + 2, i + 1 + 2 * count, 2 do
    call('HSET', P .. 'kv', a[j], a[j + 1])
    call('ZADD', P .. 'kv_gone', a[i + 1], a[j])
    notify_waiters(a[j])
  end
end

-- Removes what lasts until the job's end.
local function end_extras(id, seq, unique)
  if any_marks == nil then any_marks = call('EXISTS', P .. 'revocations') == 1 end
  if asked_to_stop(seq) then call('SREM', P .. 'cancel_requests', seq) end
  if any_marks then call('HDEL', P .. 'revocations', 'r:' .. id) end
  if unique then free_key(unique, id) end
  notify_waiters(id)
end

local function move(id, state, event_json, at, m, j, waits_for)
  local seq, queue, rank, now = j[2], j[4], j[5], string.match(event_json, '^[^,]*,([^,]*)')
  if state ~= 'retrying' then take_again(j[3], j[10], id, now) end
  if state == 'blocked' then
    to_blocked(id, at, seq, queue, now)
  elseif at == '' then
    to_ready(id, queue, rank, seq)
    call('HSET', job_key(id), 'place', 'ready')
  else
    local set = attempt_of(m == '' and j[6] or m) == '0' and 'scheduled' or 'retrying'
    to_due(id, set, at, queue)
    call('HSET', job_key(id), 'place', set, 'why', waits_for or '')
  end
end

local function close(id, state, event_json, has_result, result, at, j, number)
  call('HSET', job_key(id), 'place', 'ended', 'token', '', 'state', state, 'end', event_json, 'ev', number)
  if has_result then call('SET', P .. 'result:' .. id, result) end
  no_longer_live[#no_longer_live + 1] = id
  gone[#gone + 1] = at
  gone[#gone + 1] = id
  if not ends[state] then ends[state] = {} end
  local list = ends[state]
  list[#list + 1] = j[2]
  list[#list + 1] = id
  end_extras(id, j[2], j[3])
end

-- The index behind the outcome that begins at argument i.
local function after_outcome(a, i)
  local flags, after = a[i + 4], i + 8
  if string.find(flags, 'w', 1, true) then after = after + 1 end
  if string.find(flags, 'd', 1, true) then after = after + 1 end
  if string.find(flags, 'n', 1, true) then after = after + 1 + JOB * tonumber(a[after]) end
  if string.find(flags, 'o', 1, true) then after = after + 2 + 2 * tonumber(a[after]) end
  if string.find(flags, 'c', 1, true) then after = after + 4 + JOB end
  return after
end

-- Settles the claim whose outcome begins at argument i, if it still stands. Returns where the next one begins.
local function settle(a, i)
  local state, id, token, event_json, flags, result, at, m =
    a[i], a[i + 1], a[i + 2], a[i + 3], a[i + 4], a[i + 5], a[i + 6], a[i + 7]
  local after, waits_for, detail, nexts, others, part = i + 8, nil, nil, nil, nil, nil
  local has_result = flags == 'r'
  if not has_result and flags ~= '' then
    has_result = string.find(flags, 'r', 1, true)
    if string.find(flags, 'w', 1, true) then waits_for, after = a[after], after + 1 end
    if string.find(flags, 'd', 1, true) then detail, after = a[after], after + 1 end
    if string.find(flags, 'n', 1, true) then nexts, after = after, after + 1 + JOB * tonumber(a[after]) end
    if string.find(flags, 'o', 1, true) then others, after = after, after + 2 + 2 * tonumber(a[after]) end
    if string.find(flags, 'c', 1, true) then part, after = after, after + 4 + JOB end
  end
  local j = call('HMGET', job_key(id), 'token', 'seq', 'unique', 'queue', 'rank', 'm', 'last', 'state', 'end',
    'hold', 'limit')
  if j[1] ~= token then
    -- The same outcome was applied before, by a turn whose answer was lost: it is not lost.
    local known = j[7] == state .. event_json or (j[8] == state and j[9] == event_json)
    if not known then lost[#lost + 1] = token end
    return after
  end
  if (state == 'retrying' or state == 'released') and asked_to_stop(j[2]) then
    stopped[#stopped + 1] = token  -- it must not run again: its worker settles it as canceled
    return after
  end
  local n, counter = string.match(token, '^(-?%d+):(%d+)$')
  if not settled[n] then settled[n] = {} end
  local list = settled[n]
  list[#list + 1] = counter
  if m ~= '' then call('HSET', job_key(id), 'm', m) end
  if j[11] then free_slot(id, j[11], state ~= 'released') end
  local number = event(id, j[2], state, event_json, detail)
  if ENDED[state] then
    close(id, state, event_json, has_result, result, at, j, number)
  else
    call('HSET', job_key(id), 'token', '', 'last', state .. event_json)
    move(id, state, event_json, at, m, j, waits_for)
  end
  local now = string.match(event_json, '^[^,]*,([^,]*)')
  if nexts then
    for k = nexts + 1, nexts + JOB * tonumber(a[nexts]), JOB do insert(a, k, now) end
  end
  if others then put_others(a, others, tonumber(a[others])) end
  if part then add_chord_part(a, part, now) end
  return after
end

-- Settles `count` claims, and writes what was collected on the way.
local function settle_all(a, i, count)
  for _ = 1, count do i = settle(a, i) end
  for n, counters in pairs(settled) do call_many('HDEL', P .. 'claimed:' .. n, counters) end
  call_many('ZREM', P .. 'live', no_longer_live)
  call_many('ZADD', P .. 'gone', gone)
  for state, list in pairs(ends) do call_many('ZADD', P .. 'finished:' .. state, list) end
  return i
end
