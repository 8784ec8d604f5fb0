-- Scripts of a few lines. Each begins with its name, and the parts that it uses.

-- script: checkpoint
-- uses: full places
-- Stores data with a job, if the claim stands. Arguments: id, token, key, data. Returns 1, or 0 if the claim is gone.

local id = ARGV[1]
if call('HGET', job_key(id), 'token') ~= ARGV[2] then return 0 end
call('HSET', P .. 'checkpoints:' .. id, ARGV[3], ARGV[4])
return 1

-- script: delete
-- uses: places
-- Removes a key of Huey's store, wherever it is. Arguments: key. Returns how many were removed.

local key = ARGV[1]
local lock = call('HGET', P .. 'locks', key)
local holder = lock and string.match(lock, '^([^|]*)|') or ''
if holder ~= '' then call('SREM', P .. 'locks_of:' .. holder, key) end
call('ZREM', P .. 'kv_gone', key)
return call('HDEL', P .. 'kv', key) + call('HDEL', P .. 'revocations', key) + call('HDEL', P .. 'locks', key)

-- script: get_job
-- uses: places job
-- Returns one job, what follows its end, how many consumers died with it, and what its worker runs (or nothing).
-- Arguments: id.

local found = job_fields(ARGV[1], 0)
if found then
  found[11], found[12] = unpack(call('HMGET', job_key(ARGV[1]), 'sequel', 'trees'))
  local n = found[2] == 'claimed' and string.match(found[4], '^%d+')
  found[13] = n and call('HGET', P .. 'worker:' .. n, 'running') or false
end
return found

-- script: note_recorder
-- uses: full
-- Notes that a history is recorded. Arguments: where, for how many seconds a note counts.

local time = call('TIME')
call('ZADD', P .. 'recorders', time[1], ARGV[1])
call('ZREMRANGEBYSCORE', P .. 'recorders', '-inf', time[1] - ARGV[2])
return 1

-- script: hold
-- uses: full places epoch
-- Marks a claim as begun, and stores what its worker handles, before a body that must not run twice. Arguments: n, key,
-- epoch, JSON, the counter of that claim. Returns `yes`; nothing if the claim is gone; or what lib_epoch.lua says.

local of_now = is_of_now(ARGV[1], ARGV[2], ARGV[3])
if of_now ~= true then return of_now end
call('HSET', P .. 'worker:' .. ARGV[1], 'running', ARGV[4])
local id = call('HGET', P .. 'claimed:' .. ARGV[1], ARGV[5])
if not id then return false end
call('HSET', job_key(id), 'begun', ARGV[1] .. ':' .. ARGV[5])
return 'yes'

-- script: overdue
-- uses: full places lease
-- Returns the workers whose lease has ended.

return call('ZRANGEBYSCORE', P .. 'leases', '-inf', '(' .. whole(lease_now()))

-- script: peek
-- uses: places kv
-- Returns the value of a key. Arguments: kv or revocations, key, now.

return value_of(ARGV[1], ARGV[2], ARGV[3])

-- script: progress
-- uses: full
-- Stores what a running body says of itself. Arguments: seq, JSON.

call('HSET', P .. 'progress', ARGV[1], ARGV[2])
return 1

-- script: put
-- uses: places wakeup
-- Stores a value under a key of Huey's store. Arguments: kv or revocations, key, value.

call('HSET', P .. ARGV[1], ARGV[2], ARGV[3])
if ARGV[1] == 'kv' then call('ZREM', P .. 'kv_gone', ARGV[2]) end
notify_waiters(ARGV[2])
return 1

-- script: put_log
-- uses: full places
-- Adds lines of a running body to its log, and keeps the first and the last ones. Arguments: token, for how many seconds
-- it is kept, how many lines are kept at each end, then for each line its number and its JSON.

local key = P .. 'log:' .. ARGV[1]
for i = 4, #ARGV, 2 do call('ZADD', key, ARGV[i], ARGV[i + 1]) end
call('ZREMRANGEBYSCORE', key, ARGV[3], '(' .. whole(ARGV[#ARGV - 1] - ARGV[3] + 1))
call('EXPIRE', key, ARGV[2])
return 1

-- script: running
-- uses: full places
-- Stores what a worker handles. Arguments: n, key, JSON. Returns 1, or 0 if the worker is not registered any more.

local worker = P .. 'worker:' .. ARGV[1]
if call('HGET', worker, 'key') ~= ARGV[2] then return 0 end
call('HSET', worker, 'running', ARGV[3])
return 1

-- script: signal_worker
-- uses: full places
-- Asks a worker to be quiet or to stop. Arguments: n, what. Returns 0 if it is unknown.

if call('EXISTS', P .. 'worker:' .. ARGV[1]) == 0 then return 0 end
call('HSET', P .. 'worker:' .. ARGV[1], ARGV[2], '1')
return 1

-- script: signals
-- uses: places
-- Returns what a worker was asked to do: its key, quiet, stop; then the counters of its claims. Arguments: n.

local answer = call('HMGET', P .. 'worker:' .. ARGV[1], 'key', 'quiet', 'stop')
for _, counter in ipairs(call('HKEYS', P .. 'claimed:' .. ARGV[1])) do answer[#answer + 1] = counter end
return answer

-- script: untouched
-- uses: places
-- Returns the number of the event at a position counted from the oldest. Arguments: position. Nothing if there are
-- fewer.

local oldest = call('XRANGE', P .. 'outbox', '-', '+', 'COUNT', ARGV[1] + 1)
if #oldest <= tonumber(ARGV[1]) then return false end
return string.match(oldest[#oldest - 1][1], '^%d+')

-- script: worker_number
-- uses: full
-- Returns the next number of a worker process.

return call('INCR', P .. 'worker')
