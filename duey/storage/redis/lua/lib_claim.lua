-- What a claimed job is handed over as: JSON [trees, sequel (or null), counter, seq, m..., head...], a newline, the payload.

-- In place of a body that somebody deleted: a payload that cannot be read, so that the job fails and is seen.
local function no_body(id)
  local task, queue = unpack(call('HMGET', job_key(id), 'task', 'queue'))
  return string.sub(cjson.encode({id, task, queue}), 2, -2) .. ',0,null,0,null,null,null,null]\n'
end

-- Also: its unique key and how it holds that.
local function handed_over(id, counter)
  local seq, m, unique, hold, sequel, trees =
    unpack(call('HMGET', job_key(id), 'seq', 'm', 'unique', 'hold', 'sequel', 'trees'))
  if not seq then return false end  -- somebody deleted keys: there is nothing left to run
  local job = '[' .. (trees or '0') .. ',' .. (sequel and cjson.encode(sequel) or 'null') .. ',' .. counter .. ',' .. seq .. ',' .. m .. ','
    .. (call('GET', P .. 'body:' .. id) or no_body(id))
  return job, unique, hold
end

-- Return a claim whose body is not to be charged, if it still stands.
local function put_back(id, n, counter, now, started)
  local token, unique, hold, gate = unpack(call('HMGET', job_key(id), 'token', 'unique', 'hold', 'gate'))
  if token ~= n .. ':' .. counter then return false end
  if gate then leave_gate(id, gate, started) end
  take_again(unique, hold, id, now)
  call('HDEL', P .. 'claims:' .. n, counter)
  stand_ready(id)
  return true
end
