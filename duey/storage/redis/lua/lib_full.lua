-- For what must not be refused when the server has reached its maxmemory: jobs that end, and workers that live. Redis
-- refuses a command that may take memory only until the script has written something.

call('DEL', P .. 'nothing')
