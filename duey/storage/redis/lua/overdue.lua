-- uses: places
-- The workers whose lease has run out, by Redis's own clock.

local time = call('TIME')
return call('ZRANGEBYSCORE', P .. 'leases', '-inf', '(' .. whole(time[1] * 1000 + math.floor(time[2] / 1000)))
