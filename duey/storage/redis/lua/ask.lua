-- uses: places
-- Asks a worker to be quiet or to stop. Arguments: n, what. Returns 0 if it is unknown.

if call('EXISTS', P .. 'worker:' .. ARGV[1]) == 0 then return 0 end
call('HSET', P .. 'worker:' .. ARGV[1], ARGV[2], '1')
return 1
