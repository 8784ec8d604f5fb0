-- uses: places
-- Returns how many jobs are scheduled, ready, running, retrying and set aside, how many events wait, and `m` of the job
-- that waits longest, or nothing.

local function total(set, prefix, command)
  local count = 0
  for _, name in ipairs(set) do count = count + call(command, P .. prefix .. name) end
  return count
end

local queues = call('SMEMBERS', P .. 'queues')
local oldest
for _, queue in ipairs(queues) do
  local above = '-inf'
  for _ = 1, 64 do  -- the first job of each priority, of at most 64 priorities
    local head = call('ZRANGEBYSCORE', P .. 'ready:' .. queue, above, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
    if not head[1] then break end
    if not oldest or head[1] < oldest then oldest = head[1] end
    above = '(' .. head[2]
  end
end
return {
  call('ZCARD', P .. 'scheduled'), total(queues, 'ready:', 'ZCARD'),
  total(call('ZRANGE', P .. 'leases', 0, -1), 'claimed:', 'HLEN'), call('ZCARD', P .. 'retrying'),
  total(call('SMEMBERS', P .. 'block_reasons'), 'blocked:', 'ZCARD'), call('XLEN', P .. 'outbox'),
  oldest and call('HGET', job_key(string.sub(oldest, 17)), 'm') or false,
}
