-- uses: places
-- Note that a scheduler lives: now. Answers the note before.

local before = call('HGET', P .. 'meta', 'scheduler')
call('HSET', P .. 'meta', 'scheduler', ARGV[1])
return before
