-- Reads Huey's store.

-- The result of the job with this id, or the value under this key in kv or revocations, or the value of a lock; false if
-- there is none. The job is first, because an error may have been stored under its id before it was enqueued after all.
local function value_of(kind, key, now)
  if call('EXISTS', job_key(key)) == 1 then return call('GET', P .. 'result:' .. key) end
  local value = call('HGET', P .. kind, key)
  if value then return value end
  local lock = call('HGET', P .. 'locks', key)
  if not lock then return false end
  local expires_at, held = string.match(lock, '^[^|]*|([^|]*)|(.*)$')
  return (expires_at == '' or tonumber(expires_at) > tonumber(now)) and held
end
