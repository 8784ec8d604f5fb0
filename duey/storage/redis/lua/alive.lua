-- uses: places
-- Notes that a scheduler lives. Arguments: now, the shortest time without a scheduler that is a gap (s), the reason of
-- a gap, how many gaps are kept. Returns the time of the note before.
-- Without arguments: returns how many seconds ago the last note was made, by this server's clock because those of the
-- hosts may differ; nothing if there is none.

local time = call('TIME')
local here = time[1] + time[2] / 1000000
if not ARGV[1] then
  local at = call('HGET', P .. 'meta', 'scheduler_at')
  return at and string.format('%.3f', here - at)
end
call('HSET', P .. 'meta', 'scheduler_at', string.format('%.3f', here))
local before, now = call('HGET', P .. 'meta', 'scheduler'), ARGV[1]
call('HSET', P .. 'meta', 'scheduler', now)
if before and now - before > tonumber(ARGV[2]) then
  call('RPUSH', P .. 'gaps', cjson.encode({before, now, ARGV[3]}))
  call('LTRIM', P .. 'gaps', -ARGV[4], -1)
end
return before
