-- uses: places look
-- One job as it stands, and what waits for its end: id.

local found = standing(ARGV[1], 0)
if found then found[11] = call('HGET', job_key(ARGV[1]), 'sequel') end
return found
