-- uses: places
-- Removes up to `limit` jobs of one place, with everything that belongs to them. Arguments: place (ready, parked, due
-- or ended), limit. Returns how many.

local SETS = {due = {'scheduled', 'retrying'}, ended = {'ends:done', 'ends:failed', 'ends:canceled', 'ends:expired'}}
local place, limit = ARGV[1], tonumber(ARGV[2])
local keys, begins, count = SETS[place], place == 'ready' and 17 or 1, 0
if not keys then
  keys = {}
  for _, name in ipairs(call('SMEMBERS', P .. (place == 'ready' and 'queues' or 'reasons'))) do
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
