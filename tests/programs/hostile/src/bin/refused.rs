//! Asks for what this kernel has not got, one thing after another, and prints what each answer is: `NAME | ERRNO`. The README
//! lists them with what it means; a test compares the two.

use hostile::call::{Answer, words};
use hostile::sys;
use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AT_FDCWD, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS,
    CLONE_NEWPID, CLONE_NEWUSER, CLONE_PIDFD, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM,
};

/// Asks for one thing, with arguments that Linux would take.
type Ask = fn() -> Answer;

const FOLDER: &std::ffi::CStr = c"/tmp";
const NAME: &std::ffi::CStr = c"/name";

const REFUSED: &[(&str, Ask)] = &[
    ("socket(AF_INET)", || {
        sys!(SYS_socket, AF_INET, SOCK_STREAM, 0)
    }),
    ("socket(AF_INET6)", || {
        sys!(SYS_socket, AF_INET6, SOCK_DGRAM, 0)
    }),
    ("socket(AF_NETLINK)", || {
        sys!(SYS_socket, AF_NETLINK, SOCK_RAW, 0)
    }),
    ("socket(AF_PACKET)", || {
        sys!(SYS_socket, AF_PACKET, SOCK_RAW, 0)
    }),
    ("socketpair(AF_INET)", || {
        let mut ends = [0; 2];
        sys!(SYS_socketpair, AF_INET, SOCK_STREAM, 0, ends.as_mut_ptr())
    }),
    ("clone(CLONE_NEWNS)", || clone(CLONE_NEWNS)),
    ("clone(CLONE_NEWPID)", || clone(CLONE_NEWPID)),
    ("clone(CLONE_NEWUSER)", || clone(CLONE_NEWUSER)),
    ("clone(CLONE_NEWNET)", || clone(CLONE_NEWNET)),
    ("clone(CLONE_NEWIPC)", || clone(CLONE_NEWIPC)),
    ("clone(CLONE_PIDFD)", || clone(CLONE_PIDFD)),
    ("unshare", || sys!(SYS_unshare, CLONE_NEWNS)),
    ("setns", || sys!(SYS_setns, 0, 0)),
    ("mount", || sys!(SYS_mount, c"none", FOLDER, c"tmpfs", 0, 0)),
    ("umount2", || sys!(SYS_umount2, FOLDER, 0)),
    ("pivot_root", || sys!(SYS_pivot_root, FOLDER, FOLDER)),
    ("sethostname", || sys!(SYS_sethostname, NAME, 4)),
    ("setdomainname", || sys!(SYS_setdomainname, NAME, 4)),
    ("syslog", || sys!(SYS_syslog, 10, 0, 0)),
    ("reboot", || {
        sys!(SYS_reboot, 0xfee1_dead_u32, 672_274_793, 0)
    }),
    ("acct", || sys!(SYS_acct, 0)),
    ("swapon", || sys!(SYS_swapon, NAME, 0)),
    ("swapoff", || sys!(SYS_swapoff, NAME)),
    ("iopl", || sys!(SYS_iopl, 3)),
    ("ioperm", || sys!(SYS_ioperm, 0x80, 1, 1)),
    ("init_module", || sys!(SYS_init_module, NAME, 4, NAME)),
    ("finit_module", || sys!(SYS_finit_module, 0, NAME, 0)),
    ("delete_module", || sys!(SYS_delete_module, NAME, 0)),
    ("open_tree", || sys!(SYS_open_tree, AT_FDCWD, FOLDER, 0)),
    ("fsopen", || sys!(SYS_fsopen, c"tmpfs", 0)),
    ("ptrace", || sys!(SYS_ptrace, libc::PTRACE_ATTACH, 0)),
    ("process_vm_readv", || {
        sys!(SYS_process_vm_readv, std::process::id(), 0, 0, 0, 0, 0)
    }),
    ("process_vm_writev", || {
        sys!(SYS_process_vm_writev, std::process::id(), 0, 0, 0, 0, 0)
    }),
    ("kcmp", || {
        sys!(SYS_kcmp, std::process::id(), std::process::id(), 0, 0, 0)
    }),
    ("pidfd_open", || sys!(SYS_pidfd_open, std::process::id(), 0)),
    ("pidfd_send_signal", || sys!(SYS_pidfd_send_signal, 0, 0)),
    ("pidfd_getfd", || sys!(SYS_pidfd_getfd, 0, 0)),
    // The first asks whether there are filters at all.
    ("seccomp", || sys!(SYS_seccomp, 2, 0, [0_u32].as_ptr())),
    ("prctl(PR_SET_SECCOMP)", || {
        sys!(SYS_prctl, libc::PR_SET_SECCOMP, 2, 0)
    }),
    ("landlock_create_ruleset", || {
        sys!(SYS_landlock_create_ruleset, 0, 0, 1)
    }),
    ("bpf", || sys!(SYS_bpf, 0, 0, 0)),
    ("perf_event_open", || {
        sys!(SYS_perf_event_open, 0, 0, -1, -1, 0)
    }),
    ("fanotify_init", || sys!(SYS_fanotify_init, 0, 0)),
    ("userfaultfd", || sys!(SYS_userfaultfd, 0)),
    ("memfd_secret", || sys!(SYS_memfd_secret, 0)),
    ("io_uring_setup", || {
        sys!(SYS_io_uring_setup, 1, [0_u64; 15].as_mut_ptr())
    }),
    ("io_setup", || sys!(SYS_io_setup, 1, [0_u64].as_mut_ptr())),
    ("shmget", || {
        sys!(SYS_shmget, libc::IPC_PRIVATE, 4096, 0o600)
    }),
    ("semget", || sys!(SYS_semget, libc::IPC_PRIVATE, 1, 0o600)),
    ("msgget", || sys!(SYS_msgget, libc::IPC_PRIVATE, 0o600)),
    ("mq_open", || {
        sys!(SYS_mq_open, NAME, libc::O_CREAT, 0o600, 0)
    }),
    ("keyctl", || sys!(SYS_keyctl, 0, 0)),
    ("add_key", || sys!(SYS_add_key, c"user", NAME, NAME, 1, -1)),
    ("request_key", || sys!(SYS_request_key, c"user", NAME, 0, 0)),
    ("rseq", || sys!(SYS_rseq, [0_u64; 4].as_mut_ptr(), 32, 0, 0)),
    ("futex(FUTEX_LOCK_PI)", || {
        sys!(SYS_futex, [0_u32].as_mut_ptr(), libc::FUTEX_LOCK_PI)
    }),
    ("futex_waitv", || sys!(SYS_futex_waitv, 0, 0)),
    ("set_mempolicy", || sys!(SYS_set_mempolicy, 0, 0, 0)),
    ("remap_file_pages", || {
        sys!(SYS_remap_file_pages, 0, 0, 0, 0, 0)
    }),
    ("inotify_init", || sys!(SYS_inotify_init)),
    ("inotify_init1", || sys!(SYS_inotify_init1, 0)),
    ("name_to_handle_at", || {
        sys!(
            SYS_name_to_handle_at,
            AT_FDCWD,
            FOLDER,
            [8_u64; 4].as_mut_ptr(),
            [0_u64].as_mut_ptr(),
            0
        )
    }),
    ("quotactl", || sys!(SYS_quotactl, 0, 0, 0, 0)),
    ("modify_ldt", || sys!(SYS_modify_ldt, 0, 0, 0)),
    ("kexec_load", || sys!(SYS_kexec_load, 0, 0, 0, 0)),
];

/// Makes a child with this flag. There must not be one.
fn clone(flag: i32) -> Answer {
    let answer = sys!(SYS_clone, flag | libc::SIGCHLD, 0, [0_u32].as_mut_ptr());
    if answer == Ok(0) {
        // SAFETY: the child ends and takes nothing from anybody.
        unsafe { libc::_exit(0) }
    }
    answer
}

fn main() {
    for (what, ask) in REFUSED {
        println!("{what} | {}", words(ask()));
    }
}
