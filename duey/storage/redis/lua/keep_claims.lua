-- uses: full places wakeup limits claim epoch
-- Returns all claims of a living worker to the queue that it does not hold, except those whose body has begun and must
-- not run twice. Arguments: n, key, epoch, now, then the counters of the claims that it holds. Returns counter and id of
-- each claim that was returned, or what lib_epoch.lua says.

local n, now = ARGV[1], ARGV[4]
local of_now = is_of_now(n, ARGV[2], ARGV[3])
if of_now ~= true then return of_now end
local is_held, returned = {}, {}
for i = 5, #ARGV do is_held[ARGV[i]] = true end
local claims = call('HGETALL', P .. 'claimed:' .. n)
for i = 1, #claims, 2 do
  local counter, id = claims[i], claims[i + 1]
  if not is_held[counter] and call('HGET', job_key(id), 'begun') ~= n .. ':' .. counter then
    if not put_back(id, n, counter, now, false) then call('HDEL', P .. 'claimed:' .. n, counter) end
    returned[#returned + 1] = counter
    returned[#returned + 1] = id
  end
end
unblock_freed(now)
wake(filled)
return returned
