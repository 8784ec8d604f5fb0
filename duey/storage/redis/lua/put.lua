-- uses: places bells
-- Stores a value under a key of Huey's store. Arguments: kv or marks, key, value.

call('HSET', P .. ARGV[1], ARGV[2], ARGV[3])
if ARGV[1] == 'kv' then call('ZREM', P .. 'kv_gone', ARGV[2]) end
tell(ARGV[2])
return 1
