//! What a task wants of disks, and the list of its locks: kept and told.

use crate::check::{BAD, check, say, sys};
use crate::child::apart;

const PROCESS: i32 = 1;
const GROUP: i32 = 2;
/// A number no process has.
const NOBODY: i32 = i32::MAX;

/// Returns a class and a level as one number.
const fn wish(class: i32, level: i32) -> i32 {
    class << 13 | level
}

pub(crate) fn run() {
    apart(|| {
        sys!(SYS_setpgid, 0, 0).expect("it leads none");
        wishes();
    });
    locks();
}

fn wishes() {
    let set = |case: &str, kind: i32, who: i32, wish: i32| {
        check("ioprio_set", case, sys!(SYS_ioprio_set, kind, who, wish));
    };
    let get = |case: &str, kind: i32, who: i32| {
        check("ioprio_get", case, sys!(SYS_ioprio_get, kind, who));
    };
    set("a level", PROCESS, 0, wish(2, 5));
    get("a level", PROCESS, 0);
    get("a level, of the group", GROUP, 0);
    apart(|| get("a level, of a child", PROCESS, 0));
    set("the last level", PROCESS, 0, wish(2, 7));
    get("the last level", PROCESS, 0);
    set("a level of nothing", PROCESS, 0, wish(0, 1));
    set("a class there is not", PROCESS, 0, wish(4, 0));
    set("a kind there is not", 0, 0, wish(2, 1));
    set("another kind there is not", 4, 0, wish(2, 1));
    set("nobody", PROCESS, NOBODY, wish(2, 1));
    get("after all that", PROCESS, 0);
    get("nobody", PROCESS, NOBODY);
    get("a kind there is not", 4, 0);
    set("only when nobody else does", GROUP, 0, wish(3, 0));
    get("only when nobody else does", PROCESS, 0);
}

fn locks() {
    let head = [0_u64; 3];
    let mut old = [0_u64; 2];
    let own = old.as_mut_ptr();
    sys!(SYS_get_robust_list, 0, own, own.wrapping_add(1)).expect("its own");
    sys!(SYS_set_robust_list, head.as_ptr(), 24).expect("set");
    let mut found = [0_u64; 2];
    let to = found.as_mut_ptr();
    let (list, bytes) = (to, to.wrapping_add(1));
    let tried = |case: &str, tid: i64, list: *mut u64, bytes: *mut u64| {
        let answer = sys!(SYS_get_robust_list, tid, list, bytes);
        check("get_robust_list", case, answer);
    };
    tried("its own", 0, list, bytes);
    say(
        "get_robust_list",
        "what was set",
        found[0] == head.as_ptr() as u64,
    );
    say("get_robust_list", "its bytes", found[1]);
    let tid = sys!(SYS_gettid).expect("one");
    tried("by its number", tid, list, bytes);
    tried("nobody's", NOBODY.into(), list, bytes);
    tried("to a bad address", 0, BAD.cast(), bytes);
    tried("its bytes to a bad address", 0, list, BAD.cast());
    sys!(SYS_set_robust_list, old[0], 24).expect("as before");
}
