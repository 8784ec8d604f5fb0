-- uses: places kv
-- Returns the value of a key. Arguments: kv or marks, key, now.

return value_of(ARGV[1], ARGV[2], ARGV[3])
