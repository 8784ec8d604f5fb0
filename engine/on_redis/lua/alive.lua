-- uses: places
-- Note that a scheduler lives: now, from how many seconds on a time without one is a gap, why, how many gaps are kept.
-- Answers the note before.

local before, now = call('HGET', P .. 'meta', 'scheduler'), ARGV[1]
call('HSET', P .. 'meta', 'scheduler', now)
if before and now - before > tonumber(ARGV[2]) then
  call('RPUSH', P .. 'gaps', cjson.encode({before, now, ARGV[3]}))
  call('LTRIM', P .. 'gaps', -ARGV[4], -1)
end
return before
