-- uses: full places wakeup limits claim epoch
-- Returns claims to the queue. Arguments: n, key, epoch, now, then counter and id of each claim. Returns 1, or what
-- lib_epoch.lua says.

local n, now = ARGV[1], ARGV[4]
local of_now = is_of_now(n, ARGV[2], ARGV[3])
if of_now ~= true then return of_now end
for i = 5, #ARGV, 2 do put_back(ARGV[i + 1], n, ARGV[i], now, false) end
wake(filled)
return 1
