-- uses: places
-- Note that a scheduler lives: now, from how many seconds on a time without one is a gap, why, how many gaps are kept.
-- Answers the note before. Without arguments: how many seconds ago one was last noted, by this server's clock, since those
-- of the hosts may differ; nothing when none ever was.

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
