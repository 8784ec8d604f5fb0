-- uses: places
-- Removes up to `limit` jobs of one place, with everything that belongs to them. Arguments: place (ready, blocked,
-- scheduled or finished), limit. Returns how many.

local SETS = {scheduled = {'scheduled', 'retrying'}, finished = {'finished:done', 'finished:failed', 'finished:canceled', 'finished:expired'}}
local place, limit = ARGV[1], tonumber(ARGV[2])
local keys, begins, count = SETS[place], place == 'ready' and 17 or 1, 0
if not keys then
  keys = {}
  for _, name in ipairs(call('SMEMBERS', P .. (place == 'ready' and 'queues' or 'block_reasons'))) do
    keys[#keys + 1] = place .. ':' .. name
  end
end
for _, key in ipairs(keys) do
  for _, member in ipairs(call('ZRANGE', P .. key, 0, limit - count - 1)) do
    local id = string.sub(member, begins)
    leave(id)
    remove(id)
    count = count + 1
  end
  if count >= limit then break end
end
return count
