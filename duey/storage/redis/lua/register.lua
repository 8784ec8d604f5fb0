-- uses: full places lease
-- Registers worker n, or registers it again. Arguments: n, key, lease_ms, epoch, then the fields of `worker:N`.
-- Returns 1, or 0 if another process has the number now.

local n, key = ARGV[1], ARGV[2]
local holder, epoch = unpack(call('HMGET', P .. 'worker:' .. n, 'key', 'epoch'))
if holder and holder ~= key then return 0 end
call('HSET', P .. 'worker:' .. n, 'key', key, 'epoch', whole(math.max(tonumber(epoch or 0), ARGV[4])), unpack(ARGV, 5))
renew_lease(n, lease_now(), ARGV[3])
if tonumber(call('GET', P .. 'worker') or 0) < tonumber(n) then call('SET', P .. 'worker', n) end
return 1
