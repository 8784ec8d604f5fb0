-- uses: places
-- Refuses every later script, if no worker holds a job. Arguments: the marker of the move (JSON), the sentence. Returns 1
-- or 0.

for _, n in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
  if call('EXISTS', P .. 'claimed:' .. n) == 1 then return 0 end
end
call('SET', P .. 'move', ARGV[1])
call('SET', P .. 'fence', ARGV[2])
return 1
