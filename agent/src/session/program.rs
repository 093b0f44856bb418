//! The programs that requests ask for, as the kernel takes them.

use crate::failure::{Cause, Failure};
use crate::kernel::{Credentials, ProcessLimits, Program, StringList};
use crate::message::execute::Execute;
use crate::message::specification::OciProcess;
use crate::message::words;

/// A program as a request asks for it.
pub(super) struct Asked<'a> {
    pub(super) program: Program<'a>,
    /// Rows and columns of its terminal's window; 0 where nothing was said.
    pub(super) window: [u16; 2],
}

/// Makes a program of an OCI process.
pub(super) fn oci_program<'a>(process: &OciProcess<'a>) -> Result<Asked<'a>, Failure> {
    if process.args.is_empty() {
        return Err(Cause::Missing("process.args").into());
    }
    if let Some(name) = process.limits.missed {
        return Err(Cause::Unsupported(name).into());
    }
    let program = Program {
        args: process.args,
        env: process.env,
        cwd: process.cwd,
        credentials: Credentials {
            uid: process.user.uid,
            gid: process.user.gid,
            groups: process.user.groups.clone(),
            no_new_privileges: process.no_new_privileges,
            capabilities: process.capabilities,
        },
        user: process.user.name,
        terminal: process.terminal,
        limits: process.limits.clone(),
    };
    let window = process.window;
    Ok(Asked { program, window })
}

/// Makes a program of an external process's parameters.
pub(super) fn external_program(execute: Execute<'_>) -> Result<Asked<'_>, Failure> {
    let mut args: StringList<'_> = execute.args;
    if args.is_empty()
        && let Some(line) = execute.line
    {
        let (bytes, length) = line.into_spacious();
        args = words::split(bytes, length).map_err(Cause::CommandLine)?;
    }
    if args.is_empty() {
        return Err(Cause::Missing("CommandLine or CommandArgs").into());
    }
    let program = Program {
        args,
        env: execute.env,
        cwd: execute.cwd,
        credentials: Credentials::default(),
        user: "",
        terminal: execute.terminal,
        limits: ProcessLimits::default(),
    };
    let window = execute.window;
    Ok(Asked { program, window })
}
