#!/bin/bash
# What procps says of processes that are known, as far as it is the same in every run.

nice -n 7 sleep 1000 &
sleeper=$!
python3 -c '
import threading, time
for _ in range(2):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)
' > /tmp/ready &
threads=$!
until [ -s /tmp/ready ]; do :; done

export PATH=$PATH:/usr/sbin:/sbin
echo "ps: $(ps -o ppid=,pgid=,sid=,tty=,stat=,nlwp=,ni=,comm=,args= -p $sleeper | tr -s ' ')"
echo "memory: $(ps -o rss=,vsz= -p $sleeper | awk '{ print ($1 > 100), ($2 > $1) }')"
echo "age: $(ps -o etimes= -p $$ | awk '{ print ($1 >= 0 && $1 < 600) }')"
echo "started: $(( $(date +%s) - $(date -d "$(ps -o lstart= -p $$)" +%s) < 600 ))"
echo "threads: $(ps -L -o tid= -p $threads | wc -l), $(ls /proc/$threads/task | wc -l)"
echo "pgrep: $(pgrep -x sleep | sed "s/^$sleeper$/sleeper/")"
echo "pwdx: $(pwdx $sleeper | sed "s/^$sleeper/sleeper/")"
echo "pmap: $(pmap $sleeper | grep -c 'r-x-- sleep$') code, $(pmap $sleeper | grep -c 'r-x-- libc.so.6$') library, $(pmap $sleeper | grep -c stack) stack"
echo "free: $(free | awk '/^Mem:/ { print ($2 > 200000), ($3 < $2), ($7 <= $2) } /^Swap:/ { print $2 }' | xargs)"
echo "uptime: $(uptime -p | sed 's/[0-9]\+ minutes\?/0 minutes/')"
echo "vmstat: $(vmstat | tail -1 | wc -w) columns"
echo "top: $(top -b -n1 -p $sleeper | awk '/^Tasks:/ { print $2 } /sleep/ { print $12, $3, $4 }' | xargs)"
echo "sysctl: $(sysctl -n kernel.ostype vm.overcommit_memory | xargs)"
echo "df: $(df --output=fstype,target / | tail -1 | xargs)"

# What a signal brings about is waited for, because kill(1) does not.
comes_to() { until ps -o stat= -p $sleeper | grep -q "^$1"; do :; done; }
kill -STOP $sleeper; comes_to T
echo "stopped: $(ps -o stat= -p $sleeper)"
kill -CONT $sleeper; comes_to S
echo "goes on: $(ps -o stat= -p $sleeper)"
pkill -x sleep
wait $sleeper
echo "ended: $?"
kill $threads
