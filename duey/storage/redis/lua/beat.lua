-- uses: full places
-- Renews the leases of registered workers. Arguments: lease_ms, how far the clock of their host is ahead (s), then for
-- each worker n and what it runs (JSON or empty).

local time = call('TIME')
local ends_at = whole(time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[1])
local at = time[1] .. '.' .. string.format('%06d', time[2])
for i = 3, #ARGV, 2 do
  local worker = P .. 'worker:' .. ARGV[i]
  if call('EXISTS', worker) == 1 then
    call('ZADD', P .. 'leases', ends_at, ARGV[i])
    call('HSET', worker, 'beat_at', at, 'ahead', ARGV[2])
    if ARGV[i + 1] ~= '' then call('HSET', worker, 'running', ARGV[i + 1]) end
  end
end
return 1
