-- uses: places
-- Say what runs at a worker: n, key, JSON.

local worker = P .. 'worker:' .. ARGV[1]
if call('HGET', worker, 'key') == ARGV[2] then call('HSET', worker, 'running', ARGV[3]) end
return 1
