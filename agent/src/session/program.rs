//! The programs that requests ask for, as the kernel takes them.

use crate::failure::{Cause, Failure};
use crate::kernel::{Credentials, Program, StringList};
use crate::message::execute::Execute;
use crate::message::specification::OciProcess;
use crate::message::words;

/// Makes a program of an OCI process.
pub(super) fn oci_program<'a>(process: &OciProcess<'a>) -> Result<Program<'a>, Failure> {
    if process.args.is_empty() {
        return Err(Cause::Missing("process.args").into());
    }
    if process.terminal {
        return Err(Cause::Unsupported("terminal").into());
    }
    if !process.user.name.is_empty() {
        return Err(Cause::Unsupported("process.user.username").into());
    }
    Ok(Program {
        args: process.args,
        env: process.env,
        cwd: process.cwd,
        credentials: Credentials {
            uid: process.user.uid,
            gid: process.user.gid,
            groups: process.user.groups.clone(),
        },
        terminal: false,
    })
}

/// Makes a program of an external process's parameters.
pub(super) fn external_program(execute: Execute<'_>) -> Result<Program<'_>, Failure> {
    if execute.terminal {
        return Err(Cause::Unsupported("terminal").into());
    }
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
    Ok(Program {
        args,
        env: execute.env,
        cwd: execute.cwd,
        credentials: Credentials::default(),
        terminal: false,
    })
}
