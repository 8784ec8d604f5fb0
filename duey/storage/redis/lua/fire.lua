-- uses: places wakeup insert
-- Records slots of a schedule and accepts their jobs, unless another consumer has done it.
-- Arguments: name, kind, last, paused, new last, how many slots are kept, how many may wait, three sentences (the
-- previous run goes on, the unique key is held, too many wait), how many slots, how many jobs, five arguments for each
-- slot (at, outcome, job id, reason, noted_at; empty for none), the jobs.
-- kind fire: only if `last` and `paused` have not changed. Outcome `overlap` becomes deferred, or skipped if a job of
--   the schedule has not ended; `queue` becomes deferred, waiting or skipped. A recorded slot is kept, unless it was
--   missed. Older slots than those that are kept are removed, except waiting ones, those whose job has not ended, and
--   the last one that ran.
-- kind release: only if the slot is the first waiting one, the schedule is not paused and all its jobs have ended. A
--   slot without a job is recorded as given.
-- kind now: only if the slot is not recorded, or was missed or skipped.
-- Returns the ids of the accepted jobs; nothing if the condition does not hold; for kind now `held` and the id of the
-- job that holds the unique key.

local name, kind, kept, waiting_max = ARGV[1], ARGV[2], tonumber(ARGV[6]), tonumber(ARGV[7])
local going_on, key_held, full = ARGV[8], ARGV[9], ARGV[10]
local slot_count, job_count = tonumber(ARGV[11]), tonumber(ARGV[12])
local schedule, slots = P .. 'schedule:' .. name, P .. 'slots:' .. name
local times, waits = P .. 'slot_times:' .. name, P .. 'slots_waiting:' .. name
local jobs, first_job, accepted = {}, 13 + 5 * slot_count, {}
for i = first_job, first_job + JOB * job_count - 1, JOB do jobs[ARGV[i]] = i end

local function noted(at)
  local text = call('HGET', slots, at)
  return text and cjson.decode(text)
end

local function note(at, outcome, id, reason, noted_at)
  call('HSET', slots, at, cjson.encode({outcome, id, reason, noted_at}))
  call('ZADD', times, at, at)
  call(outcome == 'waiting' and 'ZADD' or 'ZREM', waits, unpack(outcome == 'waiting' and {at, at} or {at}))
end

-- The id of a slot's job, if it has not ended.
local function going(at)
  local id = noted(at)[2]
  local place = id ~= '' and call('HGET', job_key(id), 'place')
  if place and place ~= 'ended' then return id end
end

-- The newest job of the schedule that has not ended.
local function unfinished()
  for _, at in ipairs(call('ZREVRANGE', times, 0, -1)) do
    local id = going(at)
    if id then return id end
  end
end

-- The outcome of a slot, if it depends on whether earlier runs have ended.
local function decided(outcome, id, reason)
  if outcome == 'queue' then
    local count = call('ZCARD', waits)
    if count >= waiting_max then return 'skipped', '', full end
    if count > 0 or unfinished() then return 'waiting', '', reason end
    return 'deferred', id, reason
  elseif outcome == 'overlap' then
    local before = unfinished()
    if before then return 'skipped', '', string.format(going_on, before) end
    return 'deferred', id, reason
  end
  return outcome, id, reason
end

-- Accepts the job of a slot. The slot is skipped if the job's unique key is held.
local function brought_to_life(id, reason, now)
  local stored = insert(ARGV, jobs[id], now)
  if stored == true then accepted[#accepted + 1] = id end
  if stored and stored ~= true then return 'skipped', '', string.format(key_held, stored), stored end
  return 'deferred', id, reason
end

local last, paused = unpack(call('HMGET', schedule, 'last', 'paused'))
if kind == 'fire' then
  if last ~= ARGV[3] or paused ~= ARGV[4] then return false end
  call('HSET', schedule, 'last', ARGV[5])
elseif kind == 'release' then
  if paused ~= '0' or call('ZRANGE', waits, 0, 0)[1] ~= ARGV[13] or unfinished() then return false end
end

for i = 13, first_job - 1, 5 do
  local at, outcome, id, reason, noted_at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local before = noted(at)
  if kind == 'fire' then
    outcome, id, reason = decided(outcome, id, reason)
    if not before or (before[1] == 'missed' and outcome ~= 'missed') then
      if outcome == 'deferred' and id ~= '' then
        outcome, id, reason = brought_to_life(id, reason, noted_at)
      end
      note(at, outcome, id, reason, noted_at)
    end
  elseif kind == 'release' then
    if id ~= '' then outcome, id, reason = brought_to_life(id, before[3], noted_at) end
    note(at, outcome, id, reason, before[4])
  else
    if before and before[1] ~= 'missed' and before[1] ~= 'skipped' then return false end
    local holder
    outcome, id, reason, holder = brought_to_life(id, reason, noted_at)
    if holder then return {'held', holder} end
    note(at, outcome, id, reason, noted_at)
  end
end

-- The newest slot up to the new `last` that ran.
local function last_run()
  for _, at in ipairs(call('ZREVRANGEBYSCORE', times, ARGV[5], '-inf')) do
    if noted(at)[2] ~= '' then return at end
  end
end

local old = {}
if kind == 'fire' then
  local oldest = call('ZREVRANGEBYSCORE', times, ARGV[5], '-inf', 'LIMIT', kept - 1, 1)[1]
  for _, at in ipairs(oldest and call('ZRANGEBYSCORE', times, '-inf', '(' .. oldest) or {}) do
    if not call('ZSCORE', waits, at) and not going(at) and (noted(at)[2] == '' or at ~= last_run()) then
      old[#old + 1] = at
    end
  end
end
call_many('HDEL', slots, old)
call_many('ZREM', times, old)
wake(filled)
return accepted
