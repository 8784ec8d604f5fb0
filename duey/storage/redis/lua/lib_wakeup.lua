-- Wakes sleeping workers, and processes that wait for a job to end. Nothing is pushed for those that do not wait.

local WAKEUP_MS, WAIT_MS = 10000, 60000

local function is_served(serves, queue)
  if string.find(serves, ',' .. queue .. ',', 1, true) then return true end
  return string.find(serves, ',*,', 1, true) and not string.find(serves, ',!' .. queue .. ',', 1, true)
end

local function serves_one_of(serves, wanted)
  for queue, count in pairs(wanted) do
    if count > 0 and is_served(serves, queue) then return queue end
  end
end

local function wake_one(n)
  call('ZREM', P .. 'sleepers', n)
  local key = P .. 'wakeup:' .. n
  if call('LPUSH', key, '1') == 1 then call('PEXPIRE', key, WAKEUP_MS) end
end

-- Wakes one sleeping worker for each job in `wanted` (queue -> how many jobs). The last one that fell asleep is woken
-- first, because one that has slept for long may be dead.
local function wake(wanted)
  if next(wanted) == nil then return end
  for _, n in ipairs(call('ZREVRANGE', P .. 'sleepers', 0, -1)) do
    local serves = call('HGET', P .. 'worker:' .. n, 'serves')
    if not serves then
      call('ZREM', P .. 'sleepers', n)
    else
      local queue = serves_one_of(serves, wanted)
      if queue then
        wake_one(n)
        wanted[queue] = wanted[queue] - 1
      end
    end
  end
end

-- Wakes up to `count` sleeping workers, whatever they serve.
local function wake_any(count)
  if count <= 0 then return end
  for _, n in ipairs(call('ZREVRANGE', P .. 'sleepers', 0, count - 1)) do wake_one(n) end
end

local anybody_waits  -- looked up once in a script

-- Wakes those who wait for this job (or key).
local function notify_waiters(id)
  if anybody_waits == nil then anybody_waits = call('EXISTS', P .. 'waiters') == 1 end
  if not anybody_waits then return end
  local names = call('HGET', P .. 'waiters', id)
  if not names then return end
  call('HDEL', P .. 'waiters', id)
  for name in string.gmatch(names, '%S+') do
    call('LPUSH', P .. 'wait:' .. name, '1')
    call('PEXPIRE', P .. 'wait:' .. name, WAIT_MS)
  end
end
