-- uses: places
-- Ask a worker to be quiet or to stop: n, what. Answers 0 when it is unknown.

if call('EXISTS', P .. 'worker:' .. ARGV[1]) == 0 then return 0 end
call('HSET', P .. 'worker:' .. ARGV[1], ARGV[2], '1')
return 1
