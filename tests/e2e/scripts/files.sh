#!/bin/sh -e
# Many programs on many files.
find /usr/bin /bin /etc -xdev -type f | sort | xargs -P4 -n 16 sha256sum | sort -k2 | sha256sum
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - /etc 2>/dev/null | gzip -n | sha256sum
tar -cf - -C /usr/share awk | tar -xf - -C /tmp && diff -r /usr/share/awk /tmp/awk && echo same
seq 1 5000 | xz | xz -d | tail -n 1
seq 1 1000 | xargs -P 8 -n 10 echo | wc -w
awk 'BEGIN { "echo from a pipe" | getline line; print line; printf "%s\n", "to a pipe" | "cat"; close("cat"); system("exit 3") }'
sed -e 's/root/ROOT/' /etc/passwd | head -n 1
grep -rl root /etc | sort
sort --parallel=4 -S 1M /scripts/* | sha256sum
env -i A=1 sh -c 'echo $A; env | sort' | grep -v '^PWD=\|^_=\|^SHLVL='
timeout 0.2 sleep 10 || echo "timed out $?"
