-- uses: places
-- Make what must exist: version, a name for this instance in case it is the first. Answers the version and the name
-- found.

if call('HEXISTS', P .. 'meta', 'schema') == 0 then
  call('HSET', P .. 'meta', 'schema', ARGV[1], 'instance', ARGV[2])
end
return call('HMGET', P .. 'meta', 'schema', 'instance')
