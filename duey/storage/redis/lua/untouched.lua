-- uses: places
-- Returns the number of the event at a position counted from the oldest. Arguments: position. Nothing if there are
-- fewer.

local oldest = call('XRANGE', P .. 'events', '-', '+', 'COUNT', ARGV[1] + 1)
if #oldest <= tonumber(ARGV[1]) then return false end
return string.match(oldest[#oldest - 1][1], '^%d+')
