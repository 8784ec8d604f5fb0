-- uses: places
-- Every schedule, or only the one of the name that is given: name, source, spec, paused, last, since, the first slot that
-- waits (or nothing), how many wait.

local answer = {}
local names = ARGV[1] and { ARGV[1] } or call('SMEMBERS', P .. 'schedules')
for _, name in ipairs(names) do
  local row = call('HMGET', P .. 'schedule:' .. name, 'source', 'spec', 'paused', 'last', 'since')
  if row[1] then
    table.insert(row, 1, name)
    row[7] = call('ZRANGE', P .. 'slots_waiting:' .. name, 0, 0)[1] or ''
    row[8] = call('ZCARD', P .. 'slots_waiting:' .. name)
    answer[#answer + 1] = row
  end
end
return answer
