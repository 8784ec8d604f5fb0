-- uses: places
-- The number of the event that is so many from the oldest: how many. Nothing when there are not more than these.

local oldest = call('XRANGE', P .. 'events', '-', '+', 'COUNT', ARGV[1] + 1)
if #oldest <= tonumber(ARGV[1]) then return false end
return string.match(oldest[#oldest - 1][1], '^%d+')
