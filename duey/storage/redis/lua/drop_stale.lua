-- uses: places
-- Removes events of jobs that do not exist any more, in steps. Arguments: where to begin, how many to examine. Returns
-- where to continue, nothing at the end.

local entries, stale = call('XRANGE', P .. 'outbox', ARGV[1], '+', 'COUNT', ARGV[2]), {}
for _, entry in ipairs(entries) do
  local e = {}
  for i = 1, #entry[2], 2 do e[entry[2][i]] = entry[2][i + 1] end
  if e.j ~= '' and call('HGET', job_key(e.j), 'seq') ~= e.s then stale[#stale + 1] = entry[1] end
end
call_many('XDEL', P .. 'outbox', stale)
if #entries < tonumber(ARGV[2]) then return false end
return whole(string.match(entries[#entries][1], '^%d+') + 1) .. '-0'
