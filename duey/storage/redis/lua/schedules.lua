-- uses: places
-- Returns every schedule: name, source, spec, paused, last, since, the first waiting slot (or nothing), how many wait.

local answer = {}
for _, name in ipairs(call('SMEMBERS', P .. 'schedules')) do
  local row = call('HMGET', P .. 'schedule:' .. name, 'source', 'spec', 'paused', 'last', 'since')
  table.insert(row, 1, name)
  row[7] = call('ZRANGE', P .. 'slots_waiting:' .. name, 0, 0)[1] or ''
  row[8] = call('ZCARD', P .. 'slots_waiting:' .. name)
  answer[#answer + 1] = row
end
return answer
