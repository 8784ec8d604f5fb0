-- uses: places
-- Every schedule: name, source, spec, paused, last, since, the first slot that waits (or nothing).

local answer = {}
for _, name in ipairs(call('SMEMBERS', P .. 'schedules')) do
  local row = call('HMGET', P .. 'schedule:' .. name, 'source', 'spec', 'paused', 'last', 'since')
  table.insert(row, 1, name)
  row[7] = call('ZRANGE', P .. 'slots_waiting:' .. name, 0, 0)[1] or ''
  answer[#answer + 1] = row
end
return answer
