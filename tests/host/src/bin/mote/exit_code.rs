//! What this process's exit code means: the program's own, or one of those shells and timeout(1) use.

use mote_host::Error;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExitCode(pub(crate) i32);

/// The part of `--help` about exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0-255  the program's own; 128 + N when signal N killed it
  124    the program was still running after --timeout
  125    mote or the VM failed, before or while the program ran
  126    the program was found but cannot be executed
  127    the program, or its working directory, does not exist in the VM

Environment:
  MOTE_KERNEL        the guest image, when --kernel is not given
  MOTE_QEMU          the QEMU binary, when it is not on the PATH
  MOTE_VSOCK_DAEMON  vhost-device-vsock, when it is not near mote nor on PATH
  XDG_RUNTIME_DIR    where VMs have their sockets
  XDG_CACHE_HOME     where converted images are kept [default: ~/.cache]
  NO_COLOR           no colours, also on a terminal";

impl ExitCode {
    pub(crate) const TIMED_OUT: Self = Self(124);
    pub(crate) const VM_FAILED: Self = Self(125);
    pub(crate) const NOT_EXECUTABLE: Self = Self(126);
    pub(crate) const NOT_FOUND: Self = Self(127);

    /// Returns the code for a program's end. Linux knows eight bits.
    pub(crate) fn of_program(code: u32) -> Self {
        Self(i32::from(code as u8))
    }

    /// Returns the code for an error.
    pub(crate) fn of_error(error: &Error) -> Self {
        if error.is_program_not_found() {
            Self::NOT_FOUND
        } else if error.is_program_not_executable() {
            Self::NOT_EXECUTABLE
        } else {
            Self::VM_FAILED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_host::Hresult;

    fn refused(hresult: Hresult) -> ExitCode {
        ExitCode::of_error(&Error::Guest {
            operation: "ExecuteProcess",
            hresult,
            message: String::new(),
        })
    }

    #[test]
    fn errors_have_the_codes_shells_give_them() {
        assert_eq!(refused(Hresult::FILE_NOT_FOUND), ExitCode::NOT_FOUND);
        assert_eq!(refused(Hresult::ACCESS_DENIED), ExitCode::NOT_EXECUTABLE);
        assert_eq!(refused(Hresult::BAD_PROGRAM), ExitCode::NOT_EXECUTABLE);
        assert_eq!(refused(Hresult::FAIL), ExitCode::VM_FAILED);
    }

    #[test]
    fn a_programs_code_is_passed_on() {
        assert_eq!(ExitCode::of_program(0), ExitCode(0));
        assert_eq!(ExitCode::of_program(255), ExitCode(255));
    }
}
