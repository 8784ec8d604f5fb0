-- Every script begins with this.

local call = redis.call
local P = KEYS[1] .. ':'
