#!/bin/sh -e
# A project of C built by four compilers at once, again when nothing changed, and again when one file did.
rm -rf /tmp/project
cp -r /project /tmp/project
cd /tmp/project
make -j4 >log 2>&1 || { cat log; exit 1; }
sort log | grep -c '^tcc'
./main one 'two words'
make -j4 -q main && echo 'up to date'
printf 'int part3(int n) { return n; }\n' >part3.c
touch -d '2030-01-01' part3.c
make -s -j4 main
./main | head -n 1
make no-such-target 2>/dev/null || echo "no rule $?"
