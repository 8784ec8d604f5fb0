-- Requests of a worker that changes what it holds. One that was held up on its way may arrive after those that the worker
-- has sent in its place. It is known by its epoch, which the worker raises whenever an answer was lost.

-- The answer of a script that must change nothing: nothing if worker n is not registered with this key, 0 if a request of
-- a later epoch came before. Otherwise true.
local function is_of_now(n, key, epoch)
  local registered, last = unpack(call('HMGET', P .. 'worker:' .. n, 'key', 'epoch'))
  if registered ~= key then return false end
  if last ~= epoch and (last or epoch ~= '0') then
    if tonumber(last or 0) > tonumber(epoch) then return 0 end
    call('HSET', P .. 'worker:' .. n, 'epoch', epoch)
  end
  return true
end
