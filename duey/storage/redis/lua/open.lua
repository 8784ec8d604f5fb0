-- uses: places
-- Creates what must exist. Arguments: version, a name for this instance if it is new. Returns the version and the name
-- found. Data of an older version can be read as it is; the version is only raised so that older programs refuse it.

if call('HEXISTS', P .. 'meta', 'schema') == 0 then
  call('HSET', P .. 'meta', 'schema', ARGV[1], 'instance', ARGV[2])
elseif tonumber(call('HGET', P .. 'meta', 'schema')) < tonumber(ARGV[1]) then
  call('HSET', P .. 'meta', 'schema', ARGV[1])
end
return call('HMGET', P .. 'meta', 'schema', 'instance')
