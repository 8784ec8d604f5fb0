-- uses: places
-- Say what a worker handles: n, key, JSON, perhaps the counter of a claim. Answers 1, or 0 when the worker was reaped
-- or does not hold that claim.

local worker = P .. 'worker:' .. ARGV[1]
if call('HGET', worker, 'key') ~= ARGV[2] then return 0 end
call('HSET', worker, 'running', ARGV[3])
if ARGV[4] and call('HEXISTS', P .. 'claims:' .. ARGV[1], ARGV[4]) == 0 then return 0 end
return 1
