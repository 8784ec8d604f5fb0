-- uses: places
-- Adds, pauses or removes a schedule. Arguments: verb, name, then for add: replace, source, spec, paused, last, since;
-- for pause: 0 or 1; for remove: nothing. Returns 0 if the name is taken (add) or unknown (the others).

local verb, name = ARGV[1], ARGV[2]
local schedule = P .. 'schedule:' .. name
local known = call('EXISTS', schedule) == 1
if verb == 'add' then
  if not known then
    call('HSET', schedule, 'source', ARGV[4], 'spec', ARGV[5], 'paused', ARGV[6], 'last', ARGV[7], 'since', ARGV[8])
    call('SADD', P .. 'schedules', name)
    return 1
  end
  if ARGV[3] == '1' then call('HSET', schedule, 'spec', ARGV[5], 'last', ARGV[7]) end
  return tonumber(ARGV[3])
end
if not known then return 0 end
if verb == 'pause' then
  call('HSET', schedule, 'paused', ARGV[3])
else
  call('DEL', schedule, P .. 'slots:' .. name, P .. 'slot_times:' .. name, P .. 'slots_waiting:' .. name)
  call('SREM', P .. 'schedules', name)
end
return 1
