-- uses: places look
-- One job as it stands: id.

return standing(ARGV[1], 0)
