-- uses: places job
-- Reads one step of a list of jobs, the newest first. Arguments: state (empty: all), names of tasks, a line for each
-- (empty: any), q in lower case (empty: any), limit, below (a seq or +inf), how many to examine, q as it was given, the largest body that is
-- returned, how the head of a job ends that names who enqueued it (empty: any).
-- Returns the seq to continue below (empty: there are no more), then the jobs.

local state, tasks, q, limit, below, step = ARGV[1], {}, ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local ENDS = {done = true, failed = true, canceled = true, expired = true}
local SEEN_AS = {ready = 'queued', claimed = 'running'}  -- the others have the name of their place
local upper = below == '+inf' and below or '(' .. below
local FEW = 5000
for name in string.gmatch(ARGV[2], '[^\n]+') do tasks[name] = true end

-- {seq, id} of the jobs in a small place that is not ordered by seq, the newest first.
local function sorted(ids)
  local found = {}
  for _, id in ipairs(ids) do
    local seq = call('HGET', job_key(id), 'seq')
    if seq and (below == '+inf' or tonumber(seq) < tonumber(below)) then found[#found + 1] = {tonumber(seq), id} end
  end
  table.sort(found, function(x, y) return x[1] > y[1] end)
  return found
end

local all = true  -- whether `candidates` are all that there are below

local function by_seq(keys)
  local found = {}
  for _, key in ipairs(keys) do
    local part = call('ZREVRANGEBYSCORE', P .. key, upper, '-inf', 'WITHSCORES', 'LIMIT', 0, step)
    if #part >= 2 * step then all = false end
    for i = 1, #part, 2 do found[#found + 1] = {tonumber(part[i + 1]), part[i]} end
  end
  if #keys > 1 then table.sort(found, function(x, y) return x[1] > y[1] end) end
  return found
end

local function candidates()
  if state == '' then return by_seq({'live', 'finished:done', 'finished:failed', 'finished:canceled', 'finished:expired'}) end
  if ENDS[state] then return by_seq({'finished:' .. state}) end
  local ids = {}
  if state == 'running' then
    for _, n in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
      for _, id in ipairs(call('HVALS', P .. 'claimed:' .. n)) do ids[#ids + 1] = id end
    end
    return sorted(ids)
  end
  if state ~= 'queued' and state ~= 'blocked' then
    if call('ZCARD', P .. state) > FEW then return by_seq({'live'}) end
    return sorted(call('ZRANGE', P .. state, 0, -1))
  end
  local places, count = {}, 0
  if state == 'queued' then
    for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do places['ready:' .. queue] = 17 end
  else
    for _, why in ipairs(call('SMEMBERS', P .. 'block_reasons')) do places['blocked:' .. why] = 1 end
  end
  for key in pairs(places) do count = count + call('ZCARD', P .. key) end
  if count > FEW then return by_seq({'live'}) end
  for key, begins in pairs(places) do
    for _, member in ipairs(call('ZRANGE', P .. key, 0, -1)) do ids[#ids + 1] = string.sub(member, begins) end
  end
  return sorted(ids)
end

local function fits(id)
  local by = ARGV[9]
  if state == '' and ARGV[2] == '' and q == '' and by == '' then return true end
  local place, its_task = unpack(call('HMGET', job_key(id), 'place', 'task'))
  if not place then return false end
  if state ~= '' and not ENDS[state] and (SEEN_AS[place] or place) ~= state then return false end
  if ARGV[2] ~= '' and not tasks[its_task] then return false end
  if by ~= '' and string.sub(head_of(id) or '', -#by) ~= by then return false end
  return q == '' or id == ARGV[7] or string.find(string.lower(its_task), q, 1, true) ~= nil
end

local answer, looked = {''}, 0
local found = candidates()
for _, candidate in ipairs(found) do
  if looked >= step or #answer > limit then break end
  looked = looked + 1
  answer[1] = whole(candidate[1])
  if fits(candidate[2]) then
    local job = job_fields(candidate[2], tonumber(ARGV[8]))
    if job then answer[#answer + 1] = job end
  end
end
if all and looked == #found then answer[1] = '' end
return answer
