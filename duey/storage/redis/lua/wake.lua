-- uses: places wakeup
-- Wakes sleeping workers. Arguments: count, then queues of which each must serve one (none: whatever they serve).

local count = tonumber(ARGV[1])
if not ARGV[2] then
  wake_any(count)
  return 1
end
for _, n in ipairs(call('ZREVRANGE', P .. 'sleepers', 0, -1)) do
  if count <= 0 then break end
  local serves, fits = call('HGET', P .. 'worker:' .. n, 'serves') or '', false
  for i = 2, #ARGV do fits = fits or (string.sub(ARGV[i], 1, 1) ~= '!' and is_served(serves, ARGV[i])) end
  if fits then
    wake_one(n)
    count = count - 1
  end
end
return 1
