-- uses: places bells
-- Ring for up to so many sleeping workers.

ring_any(tonumber(ARGV[1]))
return 1
