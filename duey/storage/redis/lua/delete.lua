-- uses: places
-- Removes a key of Huey's store, wherever it is. Arguments: key. Returns how many were removed.

local key = ARGV[1]
local lock = call('HGET', P .. 'locks', key)
local holder = lock and string.match(lock, '^([^|]*)|') or ''
if holder ~= '' then call('SREM', P .. 'locks_of:' .. holder, key) end
call('ZREM', P .. 'kv_gone', key)
return call('HDEL', P .. 'kv', key) + call('HDEL', P .. 'marks', key) + call('HDEL', P .. 'locks', key)
