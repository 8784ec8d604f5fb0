-- uses: places
-- Make what must exist: version, a name for this instance in case it is the first. Answers the version and the name
-- found. What an older version wrote is understood as it is; only the number goes up, so that older programs keep away.

if call('HEXISTS', P .. 'meta', 'schema') == 0 then
  call('HSET', P .. 'meta', 'schema', ARGV[1], 'instance', ARGV[2])
elseif tonumber(call('HGET', P .. 'meta', 'schema')) < tonumber(ARGV[1]) then
  call('HSET', P .. 'meta', 'schema', ARGV[1])
end
return call('HMGET', P .. 'meta', 'schema', 'instance')
