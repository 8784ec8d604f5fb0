-- Leases: a worker counts as alive until its lease ends (ms, clock of Redis). Supervisors look at the leases every half
-- second. If none did for longer than GAP_MS, then none could: Redis stood still or was down, all hosts were cut off from
-- it, or its clock was set. Only GAP_MS of such a gap counts, and at its end each worker has a whole lease again. A worker
-- that renews nothing gets that once, so gaps that come again and again cannot keep a dead one alive.

local GAP_MS, NOTE_MS = 1000, 200

-- Returns the time in ms, after it has moved the leases past a gap.
local function lease_now()
  local time = call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local seen = tonumber(call('HGET', P .. 'meta', 'leases_seen') or 0)
  if seen == 0 then seen = now - NOTE_MS end  -- nobody has looked yet
  local gap = now - seen
  if gap < 0 or gap > GAP_MS then
    local leases = call('ZRANGE', P .. 'leases', 0, -1, 'WITHSCORES')
    for i = 1, #leases, 2 do
      local ends_at = leases[i + 1] + math.min(gap, math.max(0, gap - GAP_MS))
      local lease_ms = gap > 0 and call('HGET', P .. 'worker:' .. leases[i], 'lease_ms')
      if lease_ms then
        ends_at = math.max(ends_at, now + lease_ms)
        call('HDEL', P .. 'worker:' .. leases[i], 'lease_ms')
      end
      call('ZADD', P .. 'leases', whole(ends_at), leases[i])
    end
  end
  if gap < 0 or gap >= NOTE_MS then call('HSET', P .. 'meta', 'leases_seen', whole(now)) end
  return now
end

local function renew_lease(n, now, lease_ms)
  call('ZADD', P .. 'leases', whole(now + lease_ms), n)
  call('HSET', P .. 'worker:' .. n, 'lease_ms', lease_ms, 'beat_at', string.format('%.3f', now / 1000))
end
