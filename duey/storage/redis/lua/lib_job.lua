-- A job for display: nine fields and the body. If they are larger than `big` bytes (0: no limit), the body is only its
-- head, and the result of a job that is done is empty. (The length of an error was limited when it was stored.)

local function head_of(id)
  for _, bytes in ipairs({4096, 1048576}) do
    local start = call('GETRANGE', P .. 'body:' .. id, 0, bytes - 1)
    local ends_at = string.find(start, '\n', 1, true)
    if ends_at then return string.sub(start, 1, ends_at) end
  end
  return call('GET', P .. 'body:' .. id)
end

local function job_fields(id, big)
  local j = call('HMGET', job_key(id), 'seq', 'place', 'm', 'token', 'why', 'state', 'end')
  if not j[1] then return false end
  j[8] = call('SISMEMBER', P .. 'cancel_requests', j[1])
  if j[2] ~= 'ended' then
    j[9] = false
  elseif big > 0 and j[6] == 'done' and call('STRLEN', P .. 'result:' .. id) > big then
    j[9] = ''
  else
    j[9] = call('GET', P .. 'result:' .. id)
  end
  if big > 0 and call('STRLEN', P .. 'body:' .. id) > big then
    j[10] = head_of(id)
  else
    j[10] = call('GET', P .. 'body:' .. id)
  end
  return j
end
