-- uses: places wakeup limits insert settle
-- Accepts all jobs or none. Everything is checked before anything is written, because Redis does not roll back a script
-- that stops halfway.
-- Arguments: now, again, max_pending, idempotency key (or empty), as older versions called it (or empty), fingerprint,
-- since, life_s, count, the jobs, how many waiting jobs end in favour of these, and for each of them: id, place, token, m,
-- end (as they were read), the token to end it under, the outcome. again = 1: an earlier attempt may have arrived; what it
-- stored counts as stored by this one.
-- Returns one of: ok + letters + holders; replayed + ids; reused; pending; ended + id + state; refused + unique key +
-- holder; replace + ids of the jobs that must end first. Letters: 1 stored; 0 existed already; h its unique key is held
-- by the next holder.

local now, again, max_pending, idem = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4]
local former, fingerprint, since, life_s, count = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local first, last = 10, 9 + JOB * count

local stored_before, before = {}, 0
if again then
  for i = first, last, JOB do
    local m = call('HGET', job_key(ARGV[i]), 'm')
    -- The instant of the call, which is first in m, distinguishes it from an earlier call with the same jobs.
    local same = m and string.match(m, '^[^,]*') == string.match(ARGV[i + 2], '^[^,]*')
    if same and call('GET', P .. 'body:' .. ARGV[i]) == ARGV[i + 1] then
      stored_before[i] = true
      before = before + 1
    end
  end
end

-- What was answered to a request with this key.
local function answered(key)
  local known = call('GET', P .. key)
  known = known and cjson.decode(known)
  return known and tonumber(known[2]) > since and known
end

if idem ~= '' and before < count then
  local known = answered(idem)
  if known and known[1] ~= fingerprint then return {'reused'} end
  known = known or former ~= '' and answered(former)
  if known and known[1] == fingerprint then return {'replayed', unpack(known[3])} end
end

if max_pending > 0 and before < count then
  local waiting = call('ZCARD', P .. 'scheduled') + call('ZCARD', P .. 'retrying')
  for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    waiting = waiting + call('ZCARD', P .. 'ready:' .. queue)
  end
  for _, why in ipairs(call('SMEMBERS', P .. 'block_reasons')) do
    waiting = waiting + call('ZCARD', P .. 'blocked:' .. why)
  end
  if waiting + count > max_pending then return {'pending'} end
end

local ends, end_count, at = {}, tonumber(ARGV[last + 1]), last + 2
for _ = 1, end_count do
  ends[ARGV[at]] = at
  at = after_outcome(ARGV, at + 6)
end

-- Whether the job waits, so that it can be replaced by another one.
local function waits(id)
  local place = call('HGET', job_key(id), 'place')
  return place and place ~= 'claimed' and place ~= 'ended'
end

local held_here, to_end, missing = {}, {}, {'replace'}
for i = first, last, JOB do
  local letters, unique, holder
  if ARGV[i + 7] ~= '' then
    letters, unique = key_of(ARGV[i + 7])
    holder = held_here[unique] or holder_of(unique, now)
    if holder == ARGV[i] then holder = held_here[unique] and holder end
  end
  if not stored_before[i] then
    if holder and string.find(letters, 'x', 1, true) then return {'refused', string.sub(unique, 2), holder} end
    if holder and not held_here[unique] and string.find(letters, 'r', 1, true) and waits(holder) then
      local known = ends[holder]
      if known and unchanged(holder, unpack(ARGV, known + 1, known + 4)) then
        to_end[#to_end + 1] = {holder, known, unique}
      else
        missing[#missing + 1] = holder
      end
      holder = nil
    end
    if not holder then
      local place, state = unpack(call('HMGET', job_key(ARGV[i]), 'place', 'state'))
      if place == 'ended' then return {'ended', ARGV[i], state} end
      if unique and not place then held_here[unique] = ARGV[i] end
    end
  end
end
if #missing > 1 then return missing end
for _, each in ipairs(to_end) do
  leave(each[1])
  call('HSET', job_key(each[1]), 'place', 'claimed', 'token', ARGV[each[2] + 5])
  settle_all(ARGV, each[2] + 6, 1)
  drop_key(each[3])
  free_slots(call('HGET', job_key(each[1]), 'task'), now)
end

at_once = math.max(1, count - before)
local letters, ids, answer = {}, {}, {'ok', ''}
for i = first, last, JOB do
  local fresh = stored_before[i] or insert(ARGV, i, now)
  local held = fresh and fresh ~= true
  letters[#letters + 1] = held and 'h' or fresh and '1' or '0'
  ids[#ids + 1] = held and fresh or ARGV[i]
  if held then answer[#answer + 1] = fresh end
end
answer[2] = table.concat(letters)
if idem ~= '' then
  call('SET', P .. idem, cjson.encode({fingerprint, now, ids}), 'EX', life_s)
end
-- One sleeping worker must learn when the next job is due.
for queue in pairs(due_in) do filled[queue] = filled[queue] or 1 end
wake(filled)
return answer
