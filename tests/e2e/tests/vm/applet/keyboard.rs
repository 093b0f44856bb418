//! Applets that talk with a person at a terminal.

/// What is given to `sh -c`, and then in turn what has to be seen and what is typed.
pub(super) const SCRIPTS: &[(&str, &[(&str, &str)])] = &[
    (
        "echo one >/tmp/text; busybox vi /tmp/text; busybox rev /tmp/text",
        &[("one", "xp:wq\r"), ("eon\r\n", "")],
    ),
    ("busybox less data/numbers", &[("line 23\r\n", "q")]),
    ("busybox more data/numbers", &[("--More--", "q")]),
    ("busybox top", &[("COMMAND", "q")]),
    ("busybox getty -n -i -l /bin/pwd 0 -", &[("/\r\n", "")]),
    (
        "busybox login -f root",
        &[
            ("# \x1b[6n", "\x1b[1;1Recho $HOME $USER\r"),
            ("/root root\r\n", "exit\r"),
        ],
    ),
    (
        "busybox tty; busybox stty rows 25 columns 80; busybox stty size",
        &[("/dev/pts/0\r\n25 80\r\n", "")],
    ),
    (
        "busybox stty rows 25 columns 80 -icanon -echo; echo now; busybox head -c 3; busybox stty -a | busybox grep -o ' .icanon'",
        &[("now", "abc"), ("abc -icanon", "")],
    ),
    ("busybox reset; echo done", &[("\x1b[J", ""), ("done", "")]),
    ("busybox cttyhack busybox tty", &[("/dev/tty\r\n", "")]),
];
