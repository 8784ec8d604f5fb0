-- uses: places bells gates
-- Look at every gate at which somebody waits, lest one that should be open stays shut: its next in line may have been
-- let through to a queue that nobody serves, or taken away. now, then the limits that tasks have now (JSON, or empty:
-- task -> [places, token_s, burst]). Answers how many were let through.

local now, limits, count = tonumber(ARGV[1]), ARGV[2] ~= '' and cjson.decode(ARGV[2]) or {}, 0
for _, why in ipairs(call('SMEMBERS', P .. 'reasons')) do
  local kind, task = string.match(why, '^(%a+) (.*)$')
  if kind == 'limit' or kind == 'rate' then
    gates[task] = nil
    local gate = gate_of(task, limits[task], now)
    if gate and limits[task] then save_gate(gate) end
    count = count + (kind == 'rate' and bring_tokens(task, nil, now) or open_places(task, now))
  end
end
ring(filled)
return count
