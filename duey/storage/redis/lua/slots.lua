-- uses: places
-- Returns the newest slots of a schedule. Arguments: name, how many, the latest instant. Each slot: at, JSON, the state
-- of its job (unfinished, a final one, or nothing).

local name, answer = ARGV[1], {}
for _, at in ipairs(call('ZREVRANGEBYSCORE', P .. 'slot_times:' .. name, ARGV[3], '-inf', 'LIMIT', 0, ARGV[2])) do
  local slot = call('HGET', P .. 'slots:' .. name, at)
  local id, found = cjson.decode(slot)[2], false
  if id ~= '' then
    local place, state = unpack(call('HMGET', job_key(id), 'place', 'state'))
    found = place and (place == 'ended' and state or 'unfinished')
  end
  answer[#answer + 1] = {at, slot, found}
end
return answer
