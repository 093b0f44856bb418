//! Programs in the place of others: execve, execveat, scripts.

use crate::check::{BAD, CLOSED, check, say, sys};
use crate::child::{child, reap};
use std::ffi::CStr;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Lists of strings as execve takes them.
struct List {
    _strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl List {
    fn of(strings: &[&str]) -> Self {
        let strings: Vec<CString> = strings
            .iter()
            .map(|string| CString::new(*string).expect("no NUL"))
            .collect();
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self {
            _strings: strings,
            pointers,
        }
    }
}

fn execute(path: &CStr, arguments: &List, environment: &List) -> i32 {
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    match sys!(SYS_execve, path, arguments, environment) {
        Err(errno) => 100 + errno,
        Ok(_) => 99,
    }
}

/// This program again, which exits with how many arguments and variables it has been given (see `main`).
pub(crate) fn own() -> CString {
    let path = std::env::current_exe().expect("/proc is there");
    CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL")
}

pub(crate) fn run() {
    programs();
    failures();
    scripts();
}

fn programs() {
    let own = own();
    let count = |arguments: &[&str], environment: &[&str]| {
        let (arguments, environment) = (List::of(arguments), List::of(environment));
        reap(child(|| execute(&own, &arguments, &environment)))
    };
    say(
        "execve",
        "two arguments, one variable",
        count(&["--count", "a"], &["A=1"]),
    );
    say("execve", "no variable", count(&["--count"], &[]));
    let many: Vec<String> = (0..2000).map(|nth| format!("argument {nth}")).collect();
    let many: Vec<&str> = std::iter::once("--count")
        .chain(many.iter().map(String::as_str))
        .collect();
    say("execve", "many arguments", count(&many, &["A=1", "B="]));
    let long = "x".repeat(100_000);
    say("execve", "a long argument", count(&["--count", &long], &[]));
    let answer = reap(child(|| match sys!(SYS_execve, own.as_c_str(), 0, 0) {
        Err(errno) => 100 + errno,
        Ok(_) => 99,
    }));
    say("execve", "no lists at all", answer);
    let answer = reap(child(|| {
        let arguments = List::of(&["--count"]);
        let fd = sys!(SYS_open, own.as_c_str(), 0).expect("it is there");
        let list = arguments.pointers.as_ptr();
        let answer = sys!(SYS_execveat, fd, c"", list, 0, libc::AT_EMPTY_PATH);
        answer.map_or_else(|errno| 100 + errno, |_| 99)
    }));
    say("execveat", "an open file", answer);
}

fn failures() {
    let arguments = List::of(&["x"]);
    let list = arguments.pointers.as_ptr();
    fs::write("plain", b"text\n").expect("new");
    fs::write("text", b"text\n").expect("new");
    fs::write("empty", b"").expect("new");
    fs::write("short", b"\x7fELF").expect("new");
    for name in ["text", "empty", "short"] {
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    fs::create_dir("folder").expect("new");
    std::os::unix::fs::symlink("loop", "loop").expect("new");
    std::os::unix::fs::symlink("text", "link").expect("new");
    let fail = |case: &str, path: &CStr| check("execve", case, sys!(SYS_execve, path, list, 0));
    fail("no file", c"none");
    fail("an empty name", c"");
    fail("not executable", c"plain");
    fail("a folder", c"folder");
    fail("below a file", c"plain/x");
    fail("text", c"text");
    fail("nothing in it", c"empty");
    fail("a header that is cut", c"short");
    fail("a link to itself", c"loop");
    check("execve", "a bad path", sys!(SYS_execve, BAD, list, 0));
    check("execve", "a bad list", sys!(SYS_execve, c"text", BAD, 0));
    let bad = [BAD as usize, 0];
    check(
        "execve",
        "a bad string",
        sys!(SYS_execve, c"text", bad.as_ptr(), 0),
    );
    let long = "x".repeat(131_072);
    let too_long = List::of(&["x", &long]);
    let too_long = too_long.pointers.as_ptr();
    check(
        "execve",
        "a string of 128 KiB and its NUL",
        sys!(SYS_execve, c"text", too_long, 0),
    );
    let at = |case: &str, fd: i32, path: &CStr, flags: i32| {
        check(
            "execveat",
            case,
            sys!(SYS_execveat, fd, path, list, 0, flags),
        );
    };
    at("no file", libc::AT_FDCWD, c"none", 0);
    at("unknown flags", libc::AT_FDCWD, c"text", 1);
    at("not open", CLOSED as i32, c"text", 0);
    at("an empty name", libc::AT_FDCWD, c"", 0);
    at(
        "a link that is not followed",
        libc::AT_FDCWD,
        c"link",
        libc::AT_SYMLINK_NOFOLLOW,
    );
    at("a link that is", libc::AT_FDCWD, c"link", 0);
}

fn scripts() {
    let own = own();
    let own = own.to_str().expect("text");
    let script = |name: &str, line: String| {
        fs::write(name, line).expect("written");
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    let run = |name: &str| {
        let name = CString::new(name).expect("no NUL");
        let (arguments, environment) = (List::of(&["dropped", "own"]), List::of(&["V=1"]));
        reap(child(|| execute(&name, &arguments, &environment)))
    };
    script("counts", format!("#!{own} --count\n"));
    say("script", "an interpreter and its argument", run("./counts"));
    script("blanks", format!("#! \t{own}\t --count two words \t\n"));
    say("script", "blanks around them", run("./blanks"));
    script("unended", format!("#!{own} --count"));
    say("script", "a line without an end", run("./unended"));
    script("nothing", "#!\n".to_owned());
    say("script", "no interpreter", run("./nothing"));
    script("blank", "#!  \t\n".to_owned());
    say("script", "only blanks", run("./blank"));
    script("missing", "#!/no/such/interpreter\n".to_owned());
    say(
        "script",
        "an interpreter that is not there",
        run("./missing"),
    );
    script("folder-run", "#!/\n".to_owned());
    say("script", "a folder as interpreter", run("./folder-run"));
    script("long", format!("#!/{}\n", "x".repeat(300)));
    say(
        "script",
        "a path longer than what is looked at",
        run("./long"),
    );
    script(
        "long-argument",
        format!("#!{own} --count {}\n", "y".repeat(300)),
    );
    say(
        "script",
        "an argument longer than that",
        run("./long-argument"),
    );
    script("self", "#!./self\n".to_owned());
    say("script", "its own interpreter", run("./self"));
    let mut before = format!("{own} --count");
    for depth in 1..=7 {
        let name = format!("./depth{depth}");
        script(&name, format!("#!{before}\n"));
        say("script", &format!("{depth} deep"), run(&name));
        before = name;
    }
}
