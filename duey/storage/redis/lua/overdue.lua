-- uses: places
-- Returns the workers whose lease has expired by the clock of Redis.

local time = call('TIME')
return call('ZRANGEBYSCORE', P .. 'leases', '-inf', '(' .. whole(time[1] * 1000 + math.floor(time[2] / 1000)))
