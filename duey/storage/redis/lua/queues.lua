-- uses: places
-- Returns every queue that has waiting jobs or is paused: name, how many are ready, how many are set aside, whether it
-- is paused, then `m` of jobs among which the oldest is: the first hundred of each priority and of each reason.

local answer, seen, blocked = {}, {}, {}
for _, why in ipairs(call('SMEMBERS', P .. 'block_reasons')) do
  for _, id in ipairs(call('ZRANGE', P .. 'blocked:' .. why, 0, 99)) do
    local queue, m = unpack(call('HMGET', job_key(id), 'queue', 'm'))
    if not blocked[queue] then blocked[queue] = {} end
    table.insert(blocked[queue], m)
  end
end

local function describe(queue, paused)
  if seen[queue] then return end
  seen[queue] = true
  local held = tonumber(call('HGET', P .. 'blocked_in', queue) or 0)
  local one = {queue, call('ZCARD', P .. 'ready:' .. queue), held, paused}
  if paused == 0 and one[2] == 0 and held == 0 then return end
  local above = '-inf'
  for _ = 1, 64 do
    local heads = call('ZRANGEBYSCORE', P .. 'ready:' .. queue, above, '+inf', 'WITHSCORES', 'LIMIT', 0, 100)
    if not heads[1] then break end
    for i = 1, #heads, 2 do
      if heads[i + 1] ~= heads[2] then break end
      one[#one + 1] = call('HGET', job_key(string.sub(heads[i], 17)), 'm')
    end
    above = '(' .. heads[2]
  end
  for _, m in ipairs(blocked[queue] or {}) do one[#one + 1] = m end
  answer[#answer + 1] = one
end

for _, why in ipairs(call('SMEMBERS', P .. 'pauses')) do
  if string.sub(why, 1, 6) == 'queue ' then
    describe(string.sub(why, 7), 1)
  end
end
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
  describe(queue, 0)
end
for _, queue in ipairs(call('HKEYS', P .. 'blocked_in')) do describe(queue, 0) end
return answer
