-- uses: places wakeup limits
-- Checks the limits of every task for which jobs wait, in case nothing else unblocks them: the job that was unblocked
-- last may have been canceled, or may be in a queue that no worker serves. Arguments: now, the present limits of tasks
-- (JSON: task -> [places, token_s, burst]; or empty). Returns how many jobs were unblocked.

local now, limits, count = tonumber(ARGV[1]), ARGV[2] ~= '' and cjson.decode(ARGV[2]) or {}, 0
for _, why in ipairs(call('SMEMBERS', P .. 'block_reasons')) do
  local kind, task = string.match(why, '^(%a+) (.*)$')
  if kind == 'limit' or kind == 'rate' then
    states[task] = nil
    local state = limit_of(task, limits[task], now)
    if state and limits[task] then save_limit(state) end
    count = count + (kind == 'rate' and refill_tokens(task, nil, now) or free_slots(task, now))
  end
end
wake(filled)
return count
