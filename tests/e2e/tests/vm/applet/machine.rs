//! Applets that look at the machine, its users and processes, or change them: the host's answers would be the host's, and it
//! must not be changed, so that what they have to say stands here.

/// What is given to `sh -c` in a machine of its own, and what is said.
pub(super) const SCRIPTS: &[(&str, &str)] = &[
    // Users and rights.
    (
        "cd tmp && echo >f && busybox chown 12:34 f && busybox stat -c '%u %g' f && busybox chgrp 56 f && busybox stat -c '%u %g' f",
        "12 34\n12 56\n",
    ),
    (
        "busybox id; busybox id -u; busybox whoami; echo 'root:x:0:' >/etc/group; busybox groups; busybox id",
        "uid=0(root) gid=0\n0\nroot\nroot\nuid=0(root) gid=0(root)\n",
    ),
    (
        "echo nobody:x:65534:65534::/:/bin/sh >>/etc/passwd; busybox su nobody -c 'busybox whoami; busybox cat /etc/shadow; echo $HOME'",
        "nobody\n/\n",
    ),
    (
        "echo root::1:0:99999:7::: >/etc/shadow; printf 'secret-Word1\\nsecret-Word1\\n' | busybox passwd 2>/dev/null; busybox grep -c '^root:.[56].' /etc/shadow",
        "Changing password for root\nNew password: \nRetype password: \n1\n",
    ),
    (
        "echo root::1:0:99999:7::: >/etc/shadow; printf '\\necho in a shell, $PPID\\n' | busybox sulogin 2>/dev/null | busybox sed 's/, [0-9]*$//'",
        "in a shell\n",
    ),
    ("busybox logname 2>&1; echo $?", "logname: getlogin: Inappropriate ioctl for device\n1\n"),
    // A record of utmp(5), of a login a while ago.
    (
        "record() { printf '\\007\\0\\0\\0\\1\\0\\0\\0pts/0'; busybox head -c 31 /dev/zero; printf root; busybox head -c 292 /dev/zero; printf '\\0\\312\\232\\073'; busybox head -c 40 /dev/zero; }
         busybox mkdir -p /var/run /var/log; record >/var/run/utmp; record >/var/log/wtmp; busybox who; busybox w; busybox last",
        "root            pts/0           ?       Sep  9 01:46:40  \n\
         USER\t\tTTY\t\tIDLE\tTIME\t\t HOST\n\
         root            pts/0           ?       Sep  9 01:46:40  \n\
         USER       TTY            HOST               LOGIN        TIME\n\
         root       pts/0                             Sep  9 01:46\n",
    ),
    // Processes.
    (
        "sleep 100 & until busybox ps -o pid,stat,args | busybox grep \"^ *$! S.* sleep 100$\" >/dev/null; do :; done; busybox pidof sleep | busybox grep -cx $!; busybox killall sleep; wait $!; echo $?; busybox pidof sleep; echo $?; busybox killall sleep 2>&1",
        "1\n143\n1\nkillall: sleep: no process killed\n",
    ),
    (
        "sleep 100 & until busybox top -b -n 1 | busybox grep ' sleep 100$' >/dev/null; do :; done; busybox top -b -n 1 | busybox sed -n 's/^Mem: [1-9][0-9]*K used, [1-9][0-9]*K free.*/memory/p; s/.*% sleep 100$/asleep/p'; kill $!",
        "memory\nasleep\n",
    ),
    (
        "busybox mkdir -p /tmp/cron; echo '* * * * * true' >/tmp/cron/root; busybox crond -f -l 0 -L /tmp/log -c /tmp/cron & until busybox grep -so 'started, log level 0' /tmp/log && busybox grep -o 'user:root' /tmp/log; do :; done | busybox tail -n 2; kill $!",
        "started, log level 0\nuser:root\n",
    ),
    (
        "busybox mkdir -p /var/spool/cron/crontabs; printf '1 2 * * * true\\n' | busybox crontab -; busybox crontab -l; busybox crontab -r; busybox crontab -l 2>&1",
        "1 2 * * * true\ncrontab: can't open 'root': No such file or directory\n",
    ),
    (
        "(busybox syslogd -n -O /tmp/log & echo $! >/tmp/pid); until [ -S /dev/log ]; do :; done; busybox logger -t tag -p user.err hello; until busybox grep -o 'user.err tag: hello' /tmp/log; do :; done; kill $(busybox cat /tmp/pid)",
        "user.err tag: hello\n",
    ),
    // Programs below a supervisor, as runit keeps them.
    (
        "cd tmp && busybox mkdir -p s/supervise && cd s/supervise && busybox mkfifo ok control && busybox head -c 20 /dev/zero >status; exec 7<>ok 8<>control; busybox svok /tmp/s; echo $?; busybox svc -u /tmp/s; busybox head -c 1 <&8; busybox rm ok; busybox svok /tmp/s; echo \" $?\"",
        "0\nu 100\n",
    ),
    ("busybox cttyhack echo on 2>/dev/null", "on\n"),
    // As the first process of an initrd is named.
    (
        "printf '::sysinit:/bin/busybox echo from init\\n::wait:/bin/busybox kill -KILL %s\\n' '$PPID' >/etc/inittab; busybox linuxrc 2>/dev/null; echo $?",
        "from init\n137\n",
    ),
    // The machine.
    (
        "cd tmp && busybox mkdir -p new/bin && busybox cp /bin/busybox new/bin && busybox chroot new /bin/busybox find /",
        "/\n/bin\n/bin/busybox\n",
    ),
    ("busybox df / | busybox awk 'NR == 2 { print $1, $6, ($2 > 0), $2 - $3 - $4 }'", "overlay / 1 0\n"),
    ("busybox free | busybox awk '/^Mem/ { print ($2 > 0), ($3 < $2), $2 - $3 - $4 - $6 } /^Swap/ { print $2 }'", "1 1 0\n0\n"),
    ("busybox hostname; busybox hostid", "mote\n00000000\n"),
    ("busybox mount | busybox sed -n 's/^overlay on . type overlay (rw)$/root/p'", "root\n"),
    ("busybox nproc", "1\n"),
    ("busybox sysctl kernel.ostype; busybox sysctl -n vm.overcommit_memory", "kernel.ostype = Linux\n1\n"),
    ("busybox uptime | busybox grep -c ' up .* load average: '", "1\n"),
    ("busybox mkdir /tmp/du && cd /tmp/du && busybox head -c 65536 /dev/zero >f && busybox du -k f && busybox du -ak .", "64\tf\n64\t./f\n64\t.\n"),
    // There is no mode of 32 bits.
    ("busybox linux32 true 2>&1", "linux32: personality(0x8): Invalid argument\n"),
    // A package that is installed and removed.
    (
        "busybox mkdir -p /var/lib/dpkg/info; busybox touch /var/lib/dpkg/status; cd tmp; echo H4sIAAAAAAACA1O0SSxKzrDjSklNykzM003KzEssqlRQUDBQQAADJNLQwMDMxERBwQQum8BlpGfAlZyfV1KUn6NXklikl15FWL+hhRlcv3w3BwMIMDG/PWvLxWQo0PbwSnXXnITe/xs6NG5whX0zdONNM5/Uu2C7uVZExOre98yHzc+0eN40XOhpWPHRVkual63/zL3g0va94f/n9Lev0l8iZF+QN7nvp/fH+WG3ZL7eC9u0duv3o7eOXWtdNulukOjnDD69yMnnDO13rJ9+y1Rzeu/UnENqOeuLPp2ZuffFrye5ko/qonRyshdZLz2uqVt+7rYTAwqwe8HG//H2bwYNBoaUxJJEuJeJCDVDA0tsvr5oyNXsIMB6YWVxV8yBHY1Hf0dICFxTe/X3bgTrb45J32fZ/9FcNsPd2r9W82y2jvMfj1W75nxf0/fzZt3ZrfXLpuzesdzioJX+393z+v9vqf8vBndozBm2mWUa0iCHcgEAdzq+X+gBAAA= | busybox base64 -d | busybox zcat >f.deb; busybox dpkg -i f.deb; busybox dpkg -l small | busybox tail -n 1; busybox cat /small-file; busybox dpkg -r small; busybox ls /small-file 2>&1",
        "Unpacking small (from f.deb)...\nSetting up small (1.0)...\nii  small          1.0\nsmall\nRemoving small (1.0)...\nls: /small-file: No such file or directory\n",
    ),
];
