-- Places: where a job is, and moving it. Every function keeps `job:ID` and the places consistent.

local filled = {}  -- queue -> how many jobs this script made ready
local due_in, due_at = {}, nil  -- queues of the jobs that it scheduled, and the earliest of their instants

local function job_key(id) return P .. 'job:' .. id end

local function whole(number) return string.format('%.0f', number) end

-- The beginning of a member of `ready`: members with equal scores are ordered by their bytes.
local function padded(seq) return string.rep('0', 16 - #seq) .. seq end

-- Lua's stack limits how many arguments a call may have.
local function call_many(command, key, list)
  for i = 1, #list, 1000 do
    call(command, key, unpack(list, i, math.min(i + 999, #list)))
  end
end

local function to_ready(id, queue, rank, seq)
  call('ZADD', P .. 'ready:' .. queue, rank, padded(seq) .. id)
  if not filled[queue] then
    filled[queue] = 0
    call('SADD', P .. 'queues', queue)
  end
  filled[queue] = filled[queue] + 1
end

local function to_due(id, set, at, queue)
  call('ZADD', P .. set, at, id)
  due_in[queue] = true
  if not due_at or tonumber(at) < due_at then due_at = tonumber(at) end
end

local reasons = {}  -- reasons that this script has stored already

-- Whether jobs that were set aside for this reason have an order: see lib_limits.lua.
local function is_limit(why) return string.find(why, '^limit ') or string.find(why, '^rate ') end

local function to_blocked(id, why, seq, queue, at)
  if not reasons[why] then
    reasons[why] = true
    call('SADD', P .. 'block_reasons', why)
  end
  call('ZADD', P .. 'blocked:' .. why, seq, id)
  if is_limit(why) then call('ZADD', P .. 'blocked_order:' .. why, call('HGET', job_key(id), 'rank'), padded(seq) .. id) end
  call('HINCRBY', P .. 'blocked_in', queue, 1)
  if string.sub(why, 1, 8) == 'unknown ' then call('ZADD', P .. 'unknown', at, id) end
  call('HSET', job_key(id), 'place', 'blocked', 'why', why)
end

local function leave_blocked(id, why, queue, seq)
  local key = P .. 'blocked:' .. why
  call('ZREM', key, id)
  if is_limit(why) then call('ZREM', P .. 'blocked_order:' .. why, padded(seq) .. id) end
  call('ZREM', P .. 'unknown', id)
  if call('HINCRBY', P .. 'blocked_in', queue, -1) <= 0 then call('HDEL', P .. 'blocked_in', queue) end
  if call('EXISTS', key) == 0 then
    call('SREM', P .. 'block_reasons', why)
    reasons[why] = nil
  end
end

-- Takes an unclaimed job out of its place.
local function leave(id)
  local place, queue, seq, why, state = unpack(call('HMGET', job_key(id), 'place', 'queue', 'seq', 'why', 'state'))
  if place == 'ready' then
    call('ZREM', P .. 'ready:' .. queue, padded(seq) .. id)
  elseif place == 'blocked' then
    leave_blocked(id, why, queue, seq)
  elseif place == 'ended' then
    call('ZREM', P .. 'finished:' .. state, id)
    call('ZREM', P .. 'gone', id)
    call('DEL', P .. 'result:' .. id)
    call('ZADD', P .. 'live', seq, id)
  else
    call('ZREM', P .. place, id)
  end
end

-- Makes a job ready, whatever place it left.
local function make_ready(id)
  local queue, rank, seq = unpack(call('HMGET', job_key(id), 'queue', 'rank', 'seq'))
  if not queue then return end  -- somebody deleted keys: there is nothing left to run
  to_ready(id, queue, rank, seq)
  call('HSET', job_key(id), 'place', 'ready', 'token', '')
end

local at_once = 1  -- how many numbers a script takes at once if it needs many; unused ones are skipped
local numbers = {}

-- The next number of a kind (seq, event).
local function number_of(kind)
  local left = numbers[kind]
  if not left or left[1] == left[2] then
    local last = call('INCRBY', P .. kind, at_once)
    left = {last - at_once, last}
    numbers[kind] = left
  end
  left[1] = left[1] + 1
  return whole(left[1])
end

-- Writes an event. Returns its number.
local function event(id, seq, kind, event_json, detail)
  local number = number_of('event')
  if detail then
    call('XADD', P .. 'outbox', number .. '-0', 'j', id, 's', seq, 'k', kind, 'e', event_json, 'd', detail)
  else
    call('XADD', P .. 'outbox', number .. '-0', 'j', id, 's', seq, 'k', kind, 'e', event_json)
  end
  return number
end

-- The event_json of an event that no worker caused. Its token is negative and unique, because it identifies the event.
local manual  -- the token of this script
local function manual_token(now, attempt)
  manual = manual or '["-1:' .. whole(4294967296 - call('INCR', P .. 'manual')) .. '",'
  return manual .. now .. ',null,' .. attempt .. ']'
end

-- How many attempts have ended, from the `m` of a job.
local function attempt_of(m) return string.match(m, '^[^,]*,[^,]*,[^,]*,([^,]*)') end

-- Whether the job is still as it was read.
local function unchanged(id, place, token, m, ending)
  local now = call('HMGET', job_key(id), 'place', 'token', 'm', 'end')
  return now[1] == place and (now[2] or '') == token and now[3] == m and (now[4] or '') == ending
end

-- Unique keys. `unique_locks` holds until|fixed|id for a key: when it expires at the latest (empty: never), whether it
-- outlasts the job, and the holder. A job's `hold` says how it holds its key: letters (s: until it starts; t: for a
-- time), then seconds.

-- The id of the job that holds a key at `now` (nil: at any time).
local function holder_of(unique, now)
  local bound, id = string.match(call('HGET', P .. 'unique_locks', unique) or '', '^([^|]*)|[01]|(.*)$')
  if id and (bound == '' or not now or tonumber(bound) > tonumber(now)) then return id end
end

local function drop_key(unique)
  call('HDEL', P .. 'unique_locks', unique)
  call('ZREM', P .. 'unique_locks_gone', unique)
end

-- Frees the key of a job, if the job holds it and it does not outlast the job.
local function free_key(unique, id)
  local held = call('HGET', P .. 'unique_locks', unique)
  if held and string.match(held, '|0|(.*)$') == id then drop_key(unique) end
end

local function take_key(unique, hold, id, now)
  local letters, seconds = string.match(hold or '', '^(%a*)(.*)$')
  local bound = ''
  if seconds ~= '' then
    bound = string.format('%.6f', now + seconds)
    call('ZADD', P .. 'unique_locks_gone', bound, unique)
  else
    call('ZREM', P .. 'unique_locks_gone', unique)
  end
  call('HSET', P .. 'unique_locks', unique, bound .. '|' .. (string.find(letters, 't', 1, true) and 1 or 0) .. '|' .. id)
end

local function freed_at_start(hold) return hold and string.find(hold, 's', 1, true) end

-- Makes a job that did not start the holder of its key again, unless another job holds it by now.
local function take_again(unique, hold, id, now)
  if unique and freed_at_start(hold) and not holder_of(unique, now) then take_key(unique, hold, id, now) end
end

-- Removes everything that belongs to a job that is in no place any more.
local function remove(id)
  local seq, unique, chord = unpack(call('HMGET', job_key(id), 'seq', 'unique', 'chord'))
  if chord then call('DEL', P .. 'chord:' .. chord) end
  call('DEL', job_key(id), P .. 'body:' .. id, P .. 'result:' .. id)
  call('ZREM', P .. 'live', id)
  call('HDEL', P .. 'progress', seq)
  call('DEL', P .. 'checkpoints:' .. id)
  call('SREM', P .. 'cancel_requests', seq)
  if unique and holder_of(unique) == id then drop_key(unique) end
end
