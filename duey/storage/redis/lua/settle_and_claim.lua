-- uses: full places wakeup limits claim epoch
-- Settles finished jobs, makes due jobs ready, and claims the next ones.
-- Arguments: n, key, epoch, first counter, recover, awake, want, how many of these begin at once, now, soon, how many
-- queues, how many outcomes, the limits of tasks (JSON: task -> [places, token_s, burst]; or empty), the queues, the
-- outcomes. recover = 1: the answer of an earlier turn was lost, so its claims are returned now. awake = 1: the worker
-- slept before this turn. now may be empty: when the script runs; soon is seconds from then.
-- Returns a JSON header, then the claims; or what lib_epoch.lua says.

local n, first, recover, awake = ARGV[1], tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6] == '1'
local want, begin, now, soon = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local queue_count, outcome_count = tonumber(ARGV[11]), tonumber(ARGV[12])
if now == '' then
  local time = call('TIME')
  now = time[1] .. '.' .. string.format('%06d', time[2])
  soon = now + soon
end
local DUE_STEP, BLOCK_STEP = 1000, 500  -- limit how long other clients wait for this script

local of_now = is_of_now(n, ARGV[2], ARGV[3])
if of_now ~= true then return of_now end
at_once = math.max(1, outcome_count)
local tokens_lost, tokens_stopped = {}, {}
if outcome_count > 0 then
  -- here: insert
  -- here: settle
  settle_all(ARGV, 14 + queue_count, outcome_count)
  tokens_lost, tokens_stopped = lost, stopped
end
unblock_freed(now)

for _, set in ipairs({'scheduled', 'retrying'}) do
  local ids = call('ZRANGEBYSCORE', P .. set, '-inf', now, 'LIMIT', 0, DUE_STEP)
  for _, id in ipairs(ids) do make_ready(id) end
  call_many('ZREM', P .. set, ids)
end

for _, task in ipairs(call('ZRANGEBYSCORE', P .. 'limits_due', '-inf', now)) do refill_tokens(task, nil, now) end

local wanted, star_at = {}, nil
local elsewhere = {}  -- named with a `!`: `*` excludes these
for i = 14, 13 + queue_count do
  if string.sub(ARGV[i], 1, 1) == '!' then
    elsewhere[string.sub(ARGV[i], 2)] = true
  else
    wanted[#wanted + 1] = ARGV[i]
    if ARGV[i] == '*' then star_at = #wanted end
  end
end

-- The queues to serve, with `*` replaced by every other queue that has ready jobs.
local function served()
  if not star_at then return wanted end
  local named, star, all = {}, {}, {}
  for _, queue in ipairs(wanted) do named[queue] = true end
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    if call('EXISTS', P .. 'ready:' .. queue) == 0 then
      call('SREM', P .. 'queues', queue)
    elseif not named[queue] and not elsewhere[queue] then
      star[#star + 1] = queue
    end
  end
  table.sort(star)
  for i, queue in ipairs(wanted) do
    if i == star_at then
      for _, each in ipairs(star) do all[#all + 1] = each end
    elseif queue ~= '*' then
      all[#all + 1] = queue
    end
  end
  return all
end

local function anything_ready()
  for _, queue in ipairs(served()) do
    if call('EXISTS', P .. 'ready:' .. queue) == 1 then return true end
  end
  return false
end

local answer, taken, counter = {''}, {}, first
local paused, blocked = nil, 0
if want > 0 and call('EXISTS', P .. 'pauses') == 1 then
  paused = {}
  at_once = BLOCK_STEP
  for _, why in ipairs(call('SMEMBERS', P .. 'pauses')) do paused[why] = true end
  if paused['hold '] then want = 0 end  -- the queue is being moved
end

local limits = want > 0 and ARGV[13] ~= '' and cjson.decode(ARGV[13]) or nil
local limit_states = {}  -- of the tasks of jobs that were looked at

-- Sets a job aside, with an event.
local function block(id, why, seq, queue, m)
  to_blocked(id, why, seq, queue, now)
  event(id, seq, 'blocked', manual_token(now, attempt_of(m)), cjson.encode({reason = why}))
  blocked = blocked + 1
end

-- Whether the job may be claimed, and the limits of its task. A job that is paused or over a limit is set aside. nil if it
-- would take a place or a token before a thread can run it.
local function passes(id)
  local task, queue, seq, m = unpack(call('HMGET', job_key(id), 'task', 'queue', 'seq', 'm'))
  if not task then return true end  -- its keys were deleted from outside
  for _, why in ipairs(paused and {'queue ' .. queue, 'task ' .. task} or {}) do
    if paused[why] then
      block(id, why, seq, queue, m)
      return false
    end
  end
  local limit = limits and limits[task]
  if limit and limit[4] ~= '' then task = limit[4] end  -- it has a former name of that task
  if limit and #answer > begin then return nil end
  local state = limit and limit_of(task, limit, now)
  if not state then return true end
  limit_states[task] = state
  local why = why_not(state)
  if not why then return true, state end
  block(id, why .. ' ' .. task, seq, queue, m)
  state.waited = true
  if why == 'rate' and not call('ZSCORE', P .. 'limits_due', task) then note_opening(state, next_token_at(state)) end
  return false
end

local function claim(id, state)
  local job, unique, hold = handed_over(id, counter)
  if not job then return end
  if state then take_slot(state, id) end
  if unique and freed_at_start(hold) then free_key(unique, id) end
  call('HSET', job_key(id), 'place', 'claimed', 'token', n .. ':' .. counter)
  taken[#taken + 1] = counter
  taken[#taken + 1] = id
  answer[#answer + 1] = job
  counter = counter + 1
end

if recover and want > 0 then
  local held = call('HGETALL', P .. 'claimed:' .. n)
  for i = 1, #held, 2 do
    if tonumber(held[i]) >= first then
      answer[#answer + 1] = (handed_over(held[i + 1], held[i])) or nil
      counter = math.max(counter, tonumber(held[i]) + 1)
    end
  end
end
if want > 0 then
  for _, queue in ipairs(served()) do
    while #answer - 1 < want and blocked < BLOCK_STEP do
      local found = call('ZPOPMIN', P .. 'ready:' .. queue, want - #answer + 1)
      if #found == 0 then break end
      for i = 1, #found, 2 do
        local id = string.sub(found[i], 17)
        local pass, state = true, nil
        if paused or limits then pass, state = passes(id) end
        if pass then claim(id, state) end
        if pass == nil then  -- it stays, and so does what comes after it
          for rest = i, #found, 2 do call('ZADD', P .. 'ready:' .. queue, found[rest + 1], found[rest]) end
          want = #answer - 1
          break
        end
      end
    end
  end
  for _, state in pairs(limit_states) do
    if state.token_s or state.waited then save_limit(state) end
  end
  call_many('HSET', P .. 'claimed:' .. n, taken)
end

if awake then call('ZREM', P .. 'sleepers', n) end
for queue, count in pairs(filled) do
  filled[queue] = math.min(count, call('ZCARD', P .. 'ready:' .. queue))
end
wake(filled)
if due_at and due_at < soon then
  local wanted_soon = {}
  for queue in pairs(due_in) do wanted_soon[queue] = 1 end
  if next(wanted_soon) then wake(wanted_soon) else wake_any(1) end
end

local full = want > 0 and #answer - 1 >= want
local more, next_due = full and anything_ready(), nil
if #answer == 1 or (full and not more) then
  for _, set in ipairs({'scheduled', 'retrying', 'limits_due'}) do
    local score = call('ZRANGE', P .. set, 0, 0, 'WITHSCORES')[2]
    if score and score ~= 'inf' and (not next_due or tonumber(score) < tonumber(next_due)) then next_due = score end
  end
  more = full and next_due and tonumber(next_due) <= tonumber(now)
end
local function quoted(tokens)
  return #tokens > 0 and '["' .. table.concat(tokens, '","') .. '"]' or '[]'
end
answer[1] = '[' .. counter .. ',' .. (more and 1 or 0) .. ',' .. (blocked >= BLOCK_STEP and 1 or 0) .. ','
  .. call('ZCARD', P .. 'sleepers') .. ',' .. call('EXISTS', P .. 'revocations') .. ',' .. (next_due or 'null')
  .. ',' .. quoted(tokens_lost) .. ',' .. quoted(tokens_stopped) .. ']'
return answer
