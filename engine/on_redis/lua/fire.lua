-- uses: places bells insert
-- Deal with slots of a schedule, if nobody has yet: name, kind (fire or now), last, new last, kept, how many slots, how
-- many jobs, five arguments a slot (at, outcome, job id, reason, noted_at; empty for none), the jobs. fire: only if its
-- `last` is still this and it is not paused; a slot that was noted before is left as it is. An outcome `overlap`
-- becomes deferred, or skipped when the job of the slot before it has not ended. now: a slot replaces another. Answers
-- 1; 0 when somebody was first; or ended + id + state of a job that cannot be deferred again.

local name, kind, kept = ARGV[1], ARGV[2], tonumber(ARGV[5])
local slot_count, job_count = tonumber(ARGV[6]), tonumber(ARGV[7])
local schedule, slots, times = P .. 'schedule:' .. name, P .. 'slots:' .. name, P .. 'slot_times:' .. name
local jobs, first_job = {}, 8 + 5 * slot_count

if kind == 'fire' then
  local last, paused = unpack(call('HMGET', schedule, 'last', 'paused'))
  if last ~= ARGV[3] or paused ~= '0' then return 0 end
end
for i = first_job, first_job + JOB * job_count - 1, JOB do
  jobs[ARGV[i]] = i
  local place, state = unpack(call('HMGET', job_key(ARGV[i]), 'place', 'state'))
  if place == 'ended' then return {'ended', ARGV[i], state} end
end

-- The schedule's last job that is still here, if it has not ended.
local function unfinished()
  for _, at in ipairs(call('ZREVRANGE', times, 0, -1)) do
    local id = cjson.decode(call('HGET', slots, at))[2]
    local place = id ~= '' and call('HGET', job_key(id), 'place')
    if place then return place ~= 'ended' and id end
  end
end

if kind == 'fire' then call('HSET', schedule, 'last', ARGV[4]) end
for i = 8, first_job - 1, 5 do
  local at, outcome, id, reason, noted_at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if outcome == 'overlap' then
    local before = unfinished()
    outcome = 'deferred'
    if before then
      outcome, id, reason = 'skipped', '', 'the run before it (job ' .. before .. ') had not ended'
    end
  end
  if outcome == 'deferred' and jobs[id] then
    local stored = insert(ARGV, jobs[id], noted_at)
    if stored and stored ~= true and stored ~= id then
      outcome, id, reason = 'skipped', '', 'its unique key is held by job ' .. stored
    end
  end
  if kind == 'now' or call('HEXISTS', slots, at) == 0 then
    call('HSET', slots, at, cjson.encode({outcome, id, reason, noted_at}))
    call('ZADD', times, at, at)
  end
end
local old = call('ZRANGE', times, 0, -kept - 1)
call_many('HDEL', slots, old)
call_many('ZREM', times, old)
ring(filled)
return 1
