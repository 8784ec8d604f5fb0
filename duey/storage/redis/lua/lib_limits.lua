-- Limits of tasks. `limit:TASK` holds the limits as the last claim knew them, and the tokens in the bucket at an
-- instant; `limit_holders:TASK` the ids of jobs that take a place; `blocked_order:WHY` the jobs that wait for it, in the order of
-- `ready`; `limits_due` when the next token arrives for waiting jobs. So whoever ends a claim can unblock the next job, even
-- a process that does not know the task.

local ALL = 1000  -- jobs unblocked at once if the task has no limit any more: limits how long other clients wait
local ROUNDING = 1e-4  -- part of a token that may be missing, because instants are rounded; it stays missing
local states, freed = {}, {}

local function number_or_nil(value)
  if value and value ~= '' and value ~= cjson.null then return tonumber(value) end
end

-- The state of a task's limits, its bucket filled up to now. `limit`: {places, token_s, burst} of the task, nil if
-- unknown.
local function limit_of(task, limit, now)
  if states[task] then return states[task] end
  local places, token_s, burst, tokens, at = unpack(
    call('HMGET', P .. 'limit:' .. task, 'places', 'token_s', 'burst', 'tokens', 'at'))
  if not places and not limit then return nil end
  local had_rate = number_or_nil(token_s) ~= nil
  if limit then places, token_s, burst = limit[1], limit[2], limit[3] end
  local state = {
    task = task, places = number_or_nil(places), token_s = number_or_nil(token_s), burst = tonumber(burst),
    at = tonumber(at) or tonumber(now), held = call('SCARD', P .. 'limit_holders:' .. task),
  }
  state.tokens = had_rate and tonumber(tokens) or state.burst
  if state.token_s then
    state.tokens = math.min(state.burst, state.tokens + math.max(0, now - state.at) / state.token_s)
    state.at = tonumber(now)
  end
  states[task] = state
  return state
end

local function save_limit(state)
  call('HSET', P .. 'limit:' .. state.task, 'places', state.places or '', 'token_s', state.token_s or '',
    'burst', state.burst, 'tokens', string.format('%.9f', state.tokens), 'at', string.format('%.6f', state.at))
end

local function next_token_at(state)
  return string.format('%.6f', state.at + math.max(0, 1 - state.tokens) * (state.token_s or 0))
end

-- Why no job of the task may start now; nil if one may.
local function why_not(state)
  if state.places and state.held >= state.places then return 'limit' end
  if state.token_s and state.tokens < 1 - ROUNDING then return 'rate' end
end

-- Takes a place and a token for a claimed job.
local function take_slot(state, id)
  call('SADD', P .. 'limit_holders:' .. state.task, id)
  call('HSET', job_key(id), 'limit', state.task)
  state.held = state.held + 1
  state.tokens = state.tokens - 1
end

-- Frees the place of a job whose claim has ended.
local function free_slot(id, task, started)
  call('SREM', P .. 'limit_holders:' .. task, id)
  call('HDEL', job_key(id), 'limit')
  local tokens, burst, token_s = unpack(call('HMGET', P .. 'limit:' .. task, 'tokens', 'burst', 'token_s'))
  if not started and number_or_nil(token_s) then
    call('HSET', P .. 'limit:' .. task, 'tokens', string.format('%.9f', math.min(burst, tokens + 1)))
  end
  states[task] = nil
  freed[task] = true
end

-- Stores when the next token arrives for waiting jobs.
local function note_opening(state, at)
  call('ZADD', P .. 'limits_due', at, state.task)
  if not due_at or tonumber(at) < due_at then due_at = tonumber(at) end
end

-- Queues again the first jobs that wait for a limit. Returns how many.
local function unblock(why, task, most, now)
  if most <= 0 then return 0 end
  local line = call('ZRANGE', P .. 'blocked_order:' .. why .. ' ' .. task, 0, most - 1)
  for _, member in ipairs(line) do
    local id = string.sub(member, 17)
    local seq, m = unpack(call('HMGET', job_key(id), 'seq', 'm'))
    leave(id)
    make_ready(id)
    event(id, seq, 'unblocked', manual_token(now, attempt_of(m)))
  end
  return #line
end

-- Unblocks as many jobs as there are free places.
local function free_slots(task, now)
  local state = limit_of(task, nil, now)
  if not state then return 0 end
  return unblock('limit', task, state.places and state.places - state.held or ALL, now)
end

-- Unblocks as many jobs as there are tokens, and stores when the next token arrives.
local function refill_tokens(task, limit, now)
  local state = limit_of(task, limit, now)
  if not state then
    call('ZREM', P .. 'limits_due', task)
    return 0
  end
  local count = unblock('rate', task, state.token_s and math.floor(state.tokens + ROUNDING) or ALL, now)
  if call('EXISTS', P .. 'blocked_order:rate ' .. task) == 1 then
    state.tokens = state.tokens - count  -- the unblocked jobs will take them
    note_opening(state, math.max(tonumber(next_token_at(state)), now))
    state.tokens = state.tokens + count
  else
    call('ZREM', P .. 'limits_due', task)
  end
  save_limit(state)
  return count
end

-- Unblocks jobs of the tasks whose claims this script has ended.
local function unblock_freed(now)
  for task in pairs(freed) do free_slots(task, now) end
  freed = {}
end
