# Jobs, as a shell with job control has them: told, stopped, gone on with behind and in front, ended by their group. What a
# signal brings about is waited for, because kill(1) does not.
set -m
stopped() { while [ -z "$(jobs -s)" ]; do sleep 0.01; done; }
running() { while [ -n "$(jobs -s)" ]; do sleep 0.01; done; }
gone() { while [ -n "$(jobs -s; jobs -r)" ]; do sleep 0.01; done; }
sleep 1000 &
jobs
kill -STOP %1; stopped; jobs
bg %1; running; jobs
kill -STOP %1; stopped
kill %1; gone; wait $!; echo "ended $?"
# It stops itself; in front it goes on and ends, and the shell waits for it.
sh -c 'kill -STOP $$; exit 5' &
stopped; jobs
fg; echo "in front $?"
# A job is a process group of its own: a pipeline is one.
sleep 1000 | sleep 1000 &
last=$!
kill -TERM -- "-$(jobs -p)"; gone; wait $last; echo "group $?"
# What was stopped can be killed.
sleep 1000 & kill -STOP $!; stopped
jobs -l | tr -d '0-9' | tr -s ' '
kill -KILL $!; gone; wait $!; echo "killed $?"
