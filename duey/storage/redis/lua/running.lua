-- uses: places
-- Stores what a worker handles. Arguments: n, key, JSON, optionally the counter of a claim. Returns 1, or 0 if the
-- worker is not registered any more or does not hold that claim.

local worker = P .. 'worker:' .. ARGV[1]
if call('HGET', worker, 'key') ~= ARGV[2] then return 0 end
call('HSET', worker, 'running', ARGV[3])
if ARGV[4] and call('HEXISTS', P .. 'claims:' .. ARGV[1], ARGV[4]) == 0 then return 0 end
return 1
