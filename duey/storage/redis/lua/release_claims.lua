-- uses: full places wakeup limits claim
-- Returns claims to the queue. Arguments: n, now, then counter and id of each claim. Returns how many of them still
-- stood.

local count = 0
for i = 3, #ARGV, 2 do
  if put_back(ARGV[i + 1], ARGV[1], ARGV[i], ARGV[2], false) then count = count + 1 end
end
wake(filled)
return count
