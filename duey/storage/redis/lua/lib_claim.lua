-- A claim as it is returned: JSON [trees, sequel (or null), counter, seq, m..., head...], a newline, the payload.

-- Stands for a body that was deleted from outside: a payload that cannot be read, so that the job fails visibly.
local function no_body(id)
  local task, queue = unpack(call('HMGET', job_key(id), 'task', 'queue'))
  return string.sub(cjson.encode({id, task, queue}), 2, -2) .. ',0,null,0,null,null,null,null]\n'
end

-- Also returns its unique key and how it holds the key.
local function handed_over(id, counter)
  local seq, m, unique, hold, sequel, trees =
    unpack(call('HMGET', job_key(id), 'seq', 'm', 'unique', 'hold', 'sequel', 'trees'))
  if not seq then return false end  -- its keys were deleted from outside
  local job = '[' .. (trees or '0') .. ',' .. (sequel and cjson.encode(sequel) or 'null') .. ',' .. counter .. ',' .. seq .. ',' .. m .. ','
    .. (call('GET', P .. 'body:' .. id) or no_body(id))
  return job, unique, hold
end

-- Returns a claim to the queue, if it still stands.
local function put_back(id, n, counter, now, started)
  local token, unique, hold, state = unpack(call('HMGET', job_key(id), 'token', 'unique', 'hold', 'limit'))
  if token ~= n .. ':' .. counter then return false end
  if state then free_slot(id, state, started) end
  take_again(unique, hold, id, now)
  call('HDEL', P .. 'claimed:' .. n, counter)
  make_ready(id)
  return true
end
