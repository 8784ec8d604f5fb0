-- Limits of tasks. `gate:TASK` holds the limits as the last claim knew them, and the tokens in the bucket at an
-- instant; `holders:TASK` the ids of jobs that take a place; `line:WHY` the jobs that wait for it, in the order of
-- `ready`; `gates` when the next token arrives for waiting jobs. So whoever ends a claim can unblock the next job, even
-- a process that does not know the task.

local ALL = 1000  -- jobs unblocked at once if the task has no limit any more: limits how long other clients wait
local ROUNDING = 1e-4  -- part of a token that may be missing, because instants are rounded; it stays missing
local gates, freed = {}, {}

local function number_or_nil(value)
  if value and value ~= '' and value ~= cjson.null then return tonumber(value) end
end

-- The state of a task's limits, its bucket filled up to now. `limit`: {places, token_s, burst} of the task, nil if
-- unknown.
local function gate_of(task, limit, now)
  if gates[task] then return gates[task] end
  local places, token_s, burst, tokens, at = unpack(
    call('HMGET', P .. 'gate:' .. task, 'places', 'token_s', 'burst', 'tokens', 'at'))
  if not places and not limit then return nil end
  local had_rate = number_or_nil(token_s) ~= nil
  if limit then places, token_s, burst = limit[1], limit[2], limit[3] end
  local gate = {
    task = task, places = number_or_nil(places), token_s = number_or_nil(token_s), burst = tonumber(burst),
    at = tonumber(at) or tonumber(now), held = call('SCARD', P .. 'holders:' .. task),
  }
  gate.tokens = had_rate and tonumber(tokens) or gate.burst
  if gate.token_s then
    gate.tokens = math.min(gate.burst, gate.tokens + math.max(0, now - gate.at) / gate.token_s)
    gate.at = tonumber(now)
  end
  gates[task] = gate
  return gate
end

local function save_gate(gate)
  call('HSET', P .. 'gate:' .. gate.task, 'places', gate.places or '', 'token_s', gate.token_s or '',
    'burst', gate.burst, 'tokens', string.format('%.9f', gate.tokens), 'at', string.format('%.6f', gate.at))
end

local function next_token_at(gate)
  return string.format('%.6f', gate.at + math.max(0, 1 - gate.tokens) * (gate.token_s or 0))
end

-- Why no job of the task may start now; nil if one may.
local function why_not(gate)
  if gate.places and gate.held >= gate.places then return 'limit' end
  if gate.token_s and gate.tokens < 1 - ROUNDING then return 'rate' end
end

-- Takes a place and a token for a claimed job.
local function enter_gate(gate, id)
  call('SADD', P .. 'holders:' .. gate.task, id)
  call('HSET', job_key(id), 'gate', gate.task)
  gate.held = gate.held + 1
  gate.tokens = gate.tokens - 1
end

-- Frees the place of a job whose claim has ended.
local function leave_gate(id, task, started)
  call('SREM', P .. 'holders:' .. task, id)
  call('HDEL', job_key(id), 'gate')
  local tokens, burst, token_s = unpack(call('HMGET', P .. 'gate:' .. task, 'tokens', 'burst', 'token_s'))
  if not started and number_or_nil(token_s) then
    call('HSET', P .. 'gate:' .. task, 'tokens', string.format('%.9f', math.min(burst, tokens + 1)))
  end
  gates[task] = nil
  freed[task] = true
end

-- Stores when the next token arrives for waiting jobs.
local function note_opening(gate, at)
  call('ZADD', P .. 'gates', at, gate.task)
  if not due_at or tonumber(at) < due_at then due_at = tonumber(at) end
end

-- Queues again the first jobs that wait for a limit. Returns how many.
local function let_through(why, task, most, now)
  if most <= 0 then return 0 end
  local line = call('ZRANGE', P .. 'line:' .. why .. ' ' .. task, 0, most - 1)
  for _, member in ipairs(line) do
    local id = string.sub(member, 17)
    local seq, m = unpack(call('HMGET', job_key(id), 'seq', 'm'))
    leave(id)
    stand_ready(id)
    event(id, seq, 'unparked', by_hand(now, attempt_of(m)))
  end
  return #line
end

-- Unblocks as many jobs as there are free places.
local function open_places(task, now)
  local gate = gate_of(task, nil, now)
  if not gate then return 0 end
  return let_through('limit', task, gate.places and gate.places - gate.held or ALL, now)
end

-- Unblocks as many jobs as there are tokens, and stores when the next token arrives.
local function bring_tokens(task, limit, now)
  local gate = gate_of(task, limit, now)
  if not gate then
    call('ZREM', P .. 'gates', task)
    return 0
  end
  local count = let_through('rate', task, gate.token_s and math.floor(gate.tokens + ROUNDING) or ALL, now)
  if call('EXISTS', P .. 'line:rate ' .. task) == 1 then
    gate.tokens = gate.tokens - count  -- the unblocked jobs will take them
    note_opening(gate, math.max(tonumber(next_token_at(gate)), now))
    gate.tokens = gate.tokens + count
  else
    call('ZREM', P .. 'gates', task)
  end
  save_gate(gate)
  return count
end

-- Unblocks jobs of the tasks whose claims this script has ended.
local function open_freed(now)
  for task in pairs(freed) do open_places(task, now) end
  freed = {}
end
