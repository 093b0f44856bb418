//! What is read of an ExecuteProcess request (gcs-protocol §7.3).

use super::request::Ask;
use super::specification::{OciProcess, oci_process};
use crate::json::{Cursor, Error, Text};
use crate::kernel::StringList;

/// An ExecuteProcess request's settings.
#[derive(Debug, Default)]
pub struct Execute<'a> {
    /// `CommandArgs`.
    pub args: StringList<'a>,
    /// `CommandLine`, which counts when there are no `CommandArgs`.
    pub line: Option<Text<'a>>,
    /// `WorkingDirectory`.
    pub cwd: &'a str,
    /// `Environment`.
    pub env: StringList<'a>,
    /// `EmulateConsole`.
    pub terminal: bool,
    /// `CreateInUtilityVM`.
    pub in_utility_vm: bool,
    /// `OciProcess`: present for a further process of a container.
    pub process: Option<OciProcess<'a>>,
    /// `CreateStdInPipe`, `CreateStdOutPipe`, `CreateStdErrPipe`.
    pub pipes: [bool; 3],
    /// `VsockStdioRelaySettings`: the ports, 0 when absent.
    pub ports: [u32; 3],
}

/// Reads an ExecuteProcess request.
pub(super) fn execute<'a>(body: &'a mut [u8], container: &mut &'a str) -> Result<Ask<'a>, Error> {
    let mut execute = Execute::default();
    let mut cursor = Cursor::new(body);
    if cursor.begin_object()? {
        while let Some(member) = cursor.next_member(&["ContainerId", "Settings"])? {
            if member == "ContainerId" {
                cursor.string(container)?;
            } else if cursor.begin_object()? {
                while let Some(member) =
                    cursor.next_member(&["ProcessParameters", "VsockStdioRelaySettings"])?
                {
                    if member == "VsockStdioRelaySettings" {
                        relay_settings(&mut cursor, &mut execute.ports)?;
                    } else if let Some(mut parameters) = cursor.document()? {
                        process_parameters(&mut parameters, &mut execute)?;
                    }
                }
            }
        }
    }
    Ok(Ask::ExecuteProcess(execute))
}

fn relay_settings(cursor: &mut Cursor<'_>, ports: &mut [u32; 3]) -> Result<(), Error> {
    if !cursor.begin_object()? {
        return Ok(());
    }
    while let Some(member) = cursor.next_member(&["StdIn", "StdOut", "StdErr"])? {
        match member {
            "StdIn" => cursor.integer(&mut ports[0])?,
            "StdOut" => cursor.integer(&mut ports[1])?,
            _ => cursor.integer(&mut ports[2])?,
        }
    }
    Ok(())
}

fn process_parameters<'a>(cursor: &mut Cursor<'a>, execute: &mut Execute<'a>) -> Result<(), Error> {
    if !cursor.begin_object()? {
        return Ok(());
    }
    while let Some(member) = cursor.next_member(&[
        "CommandLine",
        "CommandArgs",
        "WorkingDirectory",
        "Environment",
        "EmulateConsole",
        "CreateStdInPipe",
        "CreateStdOutPipe",
        "CreateStdErrPipe",
        "CreateInUtilityVM",
        "OciProcess",
    ])? {
        match member {
            "CommandLine" => execute.line = cursor.text()?,
            "CommandArgs" => cursor.string_list(&mut execute.args)?,
            "WorkingDirectory" => cursor.path(&mut execute.cwd)?,
            "Environment" => cursor.string_map(&mut execute.env)?,
            "EmulateConsole" => cursor.boolean(&mut execute.terminal)?,
            "CreateStdInPipe" => cursor.boolean(&mut execute.pipes[0])?,
            "CreateStdOutPipe" => cursor.boolean(&mut execute.pipes[1])?,
            "CreateStdErrPipe" => cursor.boolean(&mut execute.pipes[2])?,
            "CreateInUtilityVM" => cursor.boolean(&mut execute.in_utility_vm)?,
            _ => execute.process = oci_process(cursor)?,
        }
    }
    Ok(())
}
