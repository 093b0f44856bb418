#!/bin/bash
# What a user tries first, with /proc and /dev there: the words beside it are those of the same tree on Linux.
cd "$(mktemp -d)" || exit
export PATH=$PATH:/usr/sbin:/sbin
diff <(seq 1 3) <(seq 2 4)
join <(seq 3) <(seq 2 4) | paste -sd+
echo 'through a file' > >(tr a-z A-Z); wait $!
mapfile -t lines < <(printf 'a\nb\n'); echo "${#lines[@]} lines"
stat -L -c %F /dev/fd/0 < <(true); test -p /dev/stdin < <(true) && echo 'a pipe'
exec 3<>both; echo kept >&3; cat both; exec 3>&-
read -rt 0.05 < <(sleep 1); echo "read $?"

seq 1 50000 >numbers
split -n 4 numbers part.; cat part.* | cmp - numbers && echo 'split'
split -l 30000 --filter='wc -l' numbers
shuf numbers | sort -n --parallel=4 -S 64K -T . | cmp - numbers && echo 'sorted'
csplit -s numbers 50 100; wc -l xx00 xx01 | head -n 2
timeout 0.1 sleep 5; echo "timeout $?"; (timeout -s KILL 0.1 sleep 5); echo "timeout $?"
nohup echo 'no hang-up'; env -i /usr/bin/env | wc -l; nice -n 5 nice
: >grown; (sleep 0.1; echo more >>grown) & tail -s 0.05 -f --pid=$! grown; wait
cp -a /etc/alternatives copy; diff -r /etc/alternatives copy && echo 'same'
ln numbers hard; ln -s numbers soft; stat -c '%h %F' numbers soft; realpath --relative-to=. soft
dd if=/dev/zero of=zeroes bs=64k count=20 conv=fsync status=none; md5sum zeroes
mkfifo queue; (echo queued >queue &); cat queue
chown 1000:1000 numbers; stat -c '%u %g' numbers
find /usr/bin -name 'z*' -print0 | sort -z | xargs -0 -P 4 -n 1 wc -c | wc -l
tar -cSf sparse.tar zeroes && tar -tf sparse.tar; xz -T2 -c numbers | xz -dc | cmp - numbers && echo 'xz'
sed -i 's/^1$/one/' numbers; head -n 1 numbers; grep -cP '^\d+7$' numbers
gawk 'BEGIN { sort = "sort"; print "b\na" |& sort; close(sort, "to"); while ((sort |& getline line) > 0) print line; exit 4 }'; echo "gawk $?"

mkdir -p package/DEBIAN package/opt; echo content >package/opt/small
printf 'Package: small\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: d\n' >package/DEBIAN/control
dpkg-deb --root-owner-group --build package small.deb
# libc-bin is not in the tree.
ln -sf /bin/true /usr/sbin/ldconfig
mkdir -p /var/lib/dpkg/{info,updates}; touch /var/lib/dpkg/{status,available}
dpkg -i small.deb >/dev/null 2>&1; echo "dpkg $?"; dpkg -l small | tail -n 1; dpkg -S /opt/small; cat /opt/small
dpkg -r small >/dev/null 2>&1; ls /opt/small 2>&1

python3 -m json.tool --compact <<<'{"b": 1, "a": [1, 2]}'
python3 -c 'import os; os.fork(); print("forked", flush=True)' | sort | uniq -c | xargs
perl -e 'pipe(my $from, my $to); if (!fork) { print $to "from a child\n"; exit } close $to; print <$from>; wait; print $? >> 8, "\n"'
perl -Mthreads -e 'print join(" ", map { $_->join } map { my $n = $_; threads->create(sub { $n * 2 }) } 1 .. 8), "\n"'
perl -MTime::HiRes=usleep -MIPC::Open3 -MPOSIX -e 'my $pid = open3(my $in, my $out, undef, "tr", "a-z", "A-Z"); print $in "open3\n"; close $in; print <$out>; waitpid $pid, 0; usleep 1000; print strftime("%Y\n", gmtime 0)'
