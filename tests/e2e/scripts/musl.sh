#!/bin/sh -e
# gcc makes a program and a library for musl, dynamically linked; musl's loader runs them.
rm -rf /tmp/musl
cp -r /musl /tmp/musl
cd /tmp/musl
# In a tree whose /usr is not merged the library is not where gcc is told to look.
library=-L/lib/x86_64-linux-musl
x86_64-linux-musl-gcc $library -shared -fPIC -o libplugin.so plugin.c
x86_64-linux-musl-gcc $library -Wall -rdynamic -o main main.c
readelf -l main | grep -o 'interpreter: [^]]*'
readelf -d main | grep -o 'NEEDED.*'
./main one 'two words' || echo "code $?"
/lib/ld-musl-x86_64.so.1 --list ./main | sed 's/ (0x.*//'
LD_PRELOAD=./libplugin.so ./main | head -n 2
/lib/ld-musl-x86_64.so.1 ./absent 2>&1 || echo "code $?"
