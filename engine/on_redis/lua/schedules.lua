-- uses: places
-- Every schedule: name, source, spec, paused, last, since.

local answer = {}
for _, name in ipairs(call('SMEMBERS', P .. 'schedules')) do
  local row = call('HMGET', P .. 'schedule:' .. name, 'source', 'spec', 'paused', 'last', 'since')
  table.insert(row, 1, name)
  answer[#answer + 1] = row
end
return answer
