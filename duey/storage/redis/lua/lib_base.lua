-- Every script begins with this.

local call = redis.call
local P = KEYS[1] .. ':'
-- The queue was moved away, or is being moved: nothing is changed any more, and nothing read that may be out of date.
if call('EXISTS', P .. 'fence') == 1 then return redis.error_reply('FENCED duey fence: ' .. call('GET', P .. 'fence')) end
