-- uses: places
-- Stores data with a job, if the claim stands. Arguments: id, token, key, data. Returns 1, or 0 if the claim is gone.

local id = ARGV[1]
if call('HGET', job_key(id), 'token') ~= ARGV[2] then return 0 end
call('HSET', P .. 'checkpoints:' .. id, ARGV[3], ARGV[4])
return 1
