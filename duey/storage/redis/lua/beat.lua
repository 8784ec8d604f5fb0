-- uses: full places lease
-- Renews the leases of registered workers. Arguments: lease_ms, how far the clock of their host is ahead (s), then for
-- each worker n and what it runs (JSON or empty).

local now = lease_now()
for i = 3, #ARGV, 2 do
  local worker = P .. 'worker:' .. ARGV[i]
  if call('EXISTS', worker) == 1 then
    renew_lease(ARGV[i], now, ARGV[1])
    call('HSET', worker, 'ahead', ARGV[2])
    if ARGV[i + 1] ~= '' then call('HSET', worker, 'running', ARGV[i + 1]) end
  end
end
return 1
