-- uses: places
-- Keep, change or remove a schedule: verb, name, then add: source, spec, paused, last, since; replace: spec and last as
-- they were seen, and as they become; pause: 0 or 1; rename: the new name; remove: nothing. Answers 0 when the name is
-- taken (add, rename), unknown (the others), or when the schedule is not as it was seen (replace).

local verb, name = ARGV[1], ARGV[2]
local schedule = P .. 'schedule:' .. name
local known = call('EXISTS', schedule) == 1
if verb == 'add' then
  if known then return 0 end
  call('HSET', schedule, 'source', ARGV[3], 'spec', ARGV[4], 'paused', ARGV[5], 'last', ARGV[6], 'since', ARGV[7])
  call('SADD', P .. 'schedules', name)
  return 1
end
if not known then return 0 end
if verb == 'replace' then
  local seen = call('HMGET', schedule, 'spec', 'last')
  if seen[1] ~= ARGV[3] or tonumber(seen[2]) ~= tonumber(ARGV[4]) then return 0 end
  call('HSET', schedule, 'spec', ARGV[5], 'last', ARGV[6])
elseif verb == 'rename' then
  local new = ARGV[3]
  if call('EXISTS', P .. 'schedule:' .. new) == 1 then return 0 end
  for _, kind in ipairs({'schedule:', 'slots:', 'slot_times:', 'slots_waiting:'}) do
    if call('EXISTS', P .. kind .. name) == 1 then call('RENAME', P .. kind .. name, P .. kind .. new) end
  end
  call('SREM', P .. 'schedules', name)
  call('SADD', P .. 'schedules', new)
elseif verb == 'pause' then
  call('HSET', schedule, 'paused', ARGV[3])
else
  call('DEL', schedule, P .. 'slots:' .. name, P .. 'slot_times:' .. name, P .. 'slots_waiting:' .. name)
  call('SREM', P .. 'schedules', name)
end
return 1
