-- uses: places
-- Make what must exist: version, a name for this instance in case it is the first, then the keys of limits that version 2
-- or older has (gate:TASK, holders:TASK). Answers the version and the name found. Keys of version 2 are renamed; apart
-- from that, what an older version wrote is understood as it is. Older programs keep away by the number.

local function rename(from, to)
  if call('EXISTS', P .. from) == 1 then call('RENAME', P .. from, P .. to) end
end

local function move_keys(limits)
  for from, to in pairs({gates = 'limits_due', reasons = 'block_reasons', parked_in = 'blocked_in', events = 'outbox',
    stops = 'cancel_requests', uniques = 'unique_locks', uniques_gone = 'unique_locks_gone', marks = 'revocations',
    hand = 'manual', ['ends:done'] = 'finished:done', ['ends:failed'] = 'finished:failed',
    ['ends:canceled'] = 'finished:canceled', ['ends:expired'] = 'finished:expired'}) do
    rename(from, to)
  end
  for _, key in ipairs(limits) do
    local kind, task = string.match(key, '^(%a+):(.*)$')
    rename(key, (kind == 'gate' and 'limit:' or 'limit_holders:') .. task)
  end
  for _, why in ipairs(call('SMEMBERS', P .. 'block_reasons')) do
    rename('parked:' .. why, 'blocked:' .. why)
    rename('line:' .. why, 'blocked_order:' .. why)
    for _, id in ipairs(call('ZRANGE', P .. 'blocked:' .. why, 0, -1)) do
      if call('HGET', job_key(id), 'place') == 'parked' then call('HSET', job_key(id), 'place', 'blocked') end
    end
  end
  for _, n in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
    rename('claims:' .. n, 'claimed:' .. n)
    for _, id in ipairs(call('HVALS', P .. 'claimed:' .. n)) do
      local place, task = unpack(call('HMGET', job_key(id), 'place', 'gate'))
      if place then call('HSET', job_key(id), 'place', 'claimed') end
      if task then call('HSET', job_key(id), 'limit', task) end
      call('HDEL', job_key(id), 'gate')
    end
  end
end

local found = tonumber(call('HGET', P .. 'meta', 'schema'))
if not found then
  call('HSET', P .. 'meta', 'schema', ARGV[1], 'instance', ARGV[2])
elseif found < tonumber(ARGV[1]) then
  if found < 3 then move_keys({unpack(ARGV, 3)}) end
  call('HSET', P .. 'meta', 'schema', ARGV[1])
end
return call('HMGET', P .. 'meta', 'schema', 'instance')
