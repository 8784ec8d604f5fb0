-- uses: places kv
-- The value of a key: kv or marks, key, now.

return value_of(ARGV[1], ARGV[2], ARGV[3])
