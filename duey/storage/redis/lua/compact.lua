-- uses: full places
-- Replaces events of jobs by counts (duey.storage.compaction.Counted). Arguments: how many of the oldest events are
-- left alone, then for each job the numbers of its two events (enqueued, done). A job is skipped if one of its events
-- is gone or left alone. Returns how many jobs were compacted.

local left_alone = call('XRANGE', P .. 'outbox', '-', '+', 'COUNT', ARGV[1])
if #left_alone < tonumber(ARGV[1]) then return 0 end
local last = tonumber(string.match(left_alone[#left_alone][1], '^%d+'))
local order, counts, gone, jobs = {}, {}, {}, 0

local function entry(number, kind)
  local found = call('XRANGE', P .. 'outbox', number .. '-0', number .. '-0')[1]
  if not found then return nil end
  local e = {}
  for i = 1, #found[2], 2 do e[found[2][i]] = found[2][i + 1] end
  return e.k == kind and e or nil
end

local function add(task, ready_at, started_at, at)
  local minute = math.floor(at / 60) * 60
  local c = counts[minute .. ' ' .. task]
  if not c then
    c = {task = task, at = minute, done = 0, run_ms = 0, run_max_ms = 0, wait_ms = 0, wait_max_ms = 0}
    counts[minute .. ' ' .. task] = c
    order[#order + 1] = c
  end
  local run_ms, wait_ms = math.max(0, at - started_at) * 1000, math.max(0, started_at - ready_at) * 1000
  c.done, c.run_ms, c.wait_ms = c.done + 1, c.run_ms + run_ms, c.wait_ms + wait_ms
  c.run_max_ms, c.wait_max_ms = math.max(c.run_max_ms, run_ms), math.max(c.wait_max_ms, wait_ms)
end

for i = 2, #ARGV, 2 do
  local first, done = entry(ARGV[i], 'enqueued'), entry(ARGV[i + 1], 'done')
  if first and done and first.s == done.s and first.j == done.j and tonumber(ARGV[i]) > last then
    local seq, task, m, ev = unpack(call('HMGET', job_key(done.j), 'seq', 'task', 'm', 'ev'))
    if seq == done.s then
      local ended, enqueued = cjson.decode(done.e), cjson.decode(first.e)
      local eta = tonumber(string.match(m, '^[^,]*,([^,]*)')) or 0
      add(task, math.max(enqueued[2], eta), ended[3], ended[2])
      gone[#gone + 1] = ARGV[i] .. '-0'
      gone[#gone + 1] = ARGV[i + 1] .. '-0'
      if ev == ARGV[i + 1] then call('HSET', job_key(done.j), 'ev', '0') end  -- it has no unread events any more
      jobs = jobs + 1
    end
  end
end
call_many('XDEL', P .. 'outbox', gone)
for _, c in ipairs(order) do
  manual = nil  -- each count has a token of its own
  event('', '', 'counted', manual_token(whole(c.at), '0'), '{"task":' .. cjson.encode(c.task) .. string.format(
    ',"done":%d,"run_ms":%.3f,"run_max_ms":%.3f,"wait_ms":%.3f,"wait_max_ms":%.3f}',
    c.done, c.run_ms, c.run_max_ms, c.wait_ms, c.wait_max_ms))
end
return jobs
