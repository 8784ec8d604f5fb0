-- uses: places
-- Returns the tokens of claims whose jobs were asked to stop. Arguments: numbers of workers.

local tokens = {}
if call('EXISTS', P .. 'cancel_requests') == 0 then return tokens end
for _, n in ipairs(ARGV) do
  local held = call('HGETALL', P .. 'claimed:' .. n)
  for i = 1, #held, 2 do
    local seq = call('HGET', job_key(held[i + 1]), 'seq')
    if seq and call('SISMEMBER', P .. 'cancel_requests', seq) == 1 then tokens[#tokens + 1] = n .. ':' .. held[i] end
  end
end
return tokens
