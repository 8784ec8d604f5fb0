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

-- script: delete_events
-- uses: full
-- Removes events that are recorded. Arguments: the term of the history that has recorded them, the mark of the reading (empty
-- if there is none), then their numbers. Returns 1; 0 and nothing is removed if another history owns them; 2 and nothing is
-- removed if the server does not know of that reading. Then it lost its last changes (a failover, a log that was not synced),
-- and other events may have these numbers now. Who knows of the reading has all that was read.

local term, read = unpack(call('HMGET', P .. 'outbox_owner', 'term', 'read'))
if (term or '0') ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' and read ~= ARGV[2] then return 2 end
call('XDEL', P .. 'outbox', unpack(ARGV, 3))
return 1

-- script: drop_oldest
-- uses: full places
-- Removes events of which there are too many. Arguments: how many of the oldest are left alone, how many behind them are
-- removed. Returns how many were.

local left_alone, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local gone = {}
for i, entry in ipairs(call('XRANGE', P .. 'outbox', '-', '+', 'COUNT', left_alone + most)) do
  if i > left_alone then
    gone[#gone + 1] = entry[1]
    local key = job_key(entry[2][2])
    local ended_by = call('HGET', key, 'ev')
    if ended_by and ended_by .. '-0' == entry[1] then call('HSET', key, 'ev', '0') end  -- it may be removed now
  end
end
call_many('XDEL', P .. 'outbox', gone)
return #gone

-- script: free_lock
-- uses: full places
-- Frees a lock of a worker, if it is as it was read. Arguments: n, name, text. Returns 1 or 0.

if call('HGET', P .. 'locks', ARGV[2]) ~= ARGV[3] then return 0 end
call('HDEL', P .. 'locks', ARGV[2])
call('SREM', P .. 'locks_of:' .. ARGV[1], ARGV[2])
return 1

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

-- script: leave_outbox
-- uses: full
-- The owner of the events is recorded no longer where it was. Arguments: its term.

local owner = P .. 'outbox_owner'
if call('HGET', owner, 'term') ~= ARGV[1] then return 0 end
call('ZREM', P .. 'recorders', call('HGET', owner, 'where'))
call('HSET', owner, 'at', 0)
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

-- script: own_outbox
-- uses: full
-- Lets a history own the events, if none does, if it does already, or if it is to take them over. Arguments: history, where,
-- 1 to take over, after how many seconds of silence it may be recorded at another place. Returns the owner. Versions
-- without owners look for others at `recorders`.

local owner, time = P .. 'outbox_owner', call('TIME')
local fields = {'history', 'where', 'term', 'at'}
local history, where, term, at = unpack(call('HMGET', owner, unpack(fields)))
local silent = history == ARGV[1] and time[1] - at >= tonumber(ARGV[4])
if not history or silent or ARGV[3] == '1' or (history == ARGV[1] and where == ARGV[2]) then
  if history ~= ARGV[1] or where ~= ARGV[2] then
    term = (term or 0) + 1
    if where then call('ZREM', P .. 'recorders', where) end
  end
  call('HSET', owner, 'history', ARGV[1], 'where', ARGV[2], 'term', term, 'at', time[1])
  call('ZADD', P .. 'recorders', time[1], ARGV[2])
  call('ZREMRANGEBYSCORE', P .. 'recorders', '-inf', time[1] - ARGV[4])
end
return call('HMGET', owner, unpack(fields))

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
-- Returns what a worker was asked to do: its key, quiet, stop; the counters of its claims; name and text of each of its
-- locks. Arguments: n.

local answer = call('HMGET', P .. 'worker:' .. ARGV[1], 'key', 'quiet', 'stop')
local locks = {}
for _, name in ipairs(call('SMEMBERS', P .. 'locks_of:' .. ARGV[1])) do
  locks[#locks + 1] = name
  locks[#locks + 1] = call('HGET', P .. 'locks', name) or ''
end
answer[4], answer[5] = call('HKEYS', P .. 'claimed:' .. ARGV[1]), locks
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
