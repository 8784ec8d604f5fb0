-- Reading Huey's store.

-- The value of a key: the result of the job with this id; the value under it, in kv or marks; or that of a lock. A job
-- comes first: an error may have been written under its id, before it was deferred after all. Nothing is false.
local function value_of(kind, key, now)
  if call('EXISTS', job_key(key)) == 1 then return call('GET', P .. 'result:' .. key) end
  local value = call('HGET', P .. kind, key)
  if value then return value end
  local lock = call('HGET', P .. 'locks', key)
  if not lock then return false end
  local expires_at, held = string.match(lock, '^[^|]*|([^|]*)|(.*)$')
  return (expires_at == '' or tonumber(expires_at) > tonumber(now)) and held
end
