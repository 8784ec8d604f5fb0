-- uses: places
-- Takes a lock that is free or has expired. Arguments: key, value, worker (empty: none), now, expires_at (empty:
-- never).
-- Returns 1 or 0.

local lock = call('HGET', P .. 'locks', ARGV[1])
if lock then
  local holder, expires_at = string.match(lock, '^([^|]*)|([^|]*)|')
  if expires_at == '' or tonumber(expires_at) > tonumber(ARGV[4]) then return 0 end
  if holder ~= '' then call('SREM', P .. 'locks_of:' .. holder, ARGV[1]) end
end
call('HSET', P .. 'locks', ARGV[1], ARGV[3] .. '|' .. ARGV[5] .. '|' .. ARGV[2])
if ARGV[3] ~= '' then call('SADD', P .. 'locks_of:' .. ARGV[3], ARGV[1]) end
return 1
