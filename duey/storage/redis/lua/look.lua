-- uses: places look
-- Returns one job, and what follows its end. Arguments: id.

local found = standing(ARGV[1], 0)
if found then found[11] = call('HGET', job_key(ARGV[1]), 'sequel') end
return found
