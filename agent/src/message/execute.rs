//! What is read of an ExecuteProcess request (gcs-protocol §7.3).

use super::request::Ask;
use super::specification::{OciProcess, oci_process};
use crate::json::{Cursor, Error, Field, Text};
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
    /// `ConsoleSize`: height and width, 0 when absent.
    pub window: [u16; 2],
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
    let mut parameters = None;
    let [stdin, stdout, stderr] = &mut execute.ports;
    Cursor::new(body).object(&mut [
        ("ContainerId", Field::Text(container)),
        (
            "Settings",
            Field::Object(&mut [
                ("ProcessParameters", Field::Document(&mut parameters)),
                (
                    "VsockStdioRelaySettings",
                    Field::Object(&mut [
                        ("StdIn", Field::U32(stdin)),
                        ("StdOut", Field::U32(stdout)),
                        ("StdErr", Field::U32(stderr)),
                    ]),
                ),
            ]),
        ),
    ])?;
    if let Some(mut parameters) = parameters {
        process_parameters(&mut parameters, &mut execute)?;
    }
    Ok(Ask::ExecuteProcess(execute))
}

fn process_parameters<'a>(cursor: &mut Cursor<'a>, execute: &mut Execute<'a>) -> Result<(), Error> {
    let [stdin, stdout, stderr] = &mut execute.pipes;
    cursor.object(&mut [
        ("CommandLine", Field::Buffer(&mut execute.line)),
        ("CommandArgs", Field::Strings(&mut execute.args)),
        ("WorkingDirectory", Field::Path(&mut execute.cwd)),
        ("Environment", Field::Variables(&mut execute.env)),
        ("EmulateConsole", Field::Flag(&mut execute.terminal)),
        (
            "ConsoleSize",
            Field::Other(&mut |cursor| window(cursor, &mut execute.window)),
        ),
        ("CreateStdInPipe", Field::Flag(stdin)),
        ("CreateStdOutPipe", Field::Flag(stdout)),
        ("CreateStdErrPipe", Field::Flag(stderr)),
        ("CreateInUtilityVM", Field::Flag(&mut execute.in_utility_vm)),
        (
            "OciProcess",
            Field::Other(&mut |cursor| oci_process(cursor, &mut execute.process)),
        ),
    ])?;
    Ok(())
}

/// Reads `[height,width]`. Elements behind these mean nothing.
fn window(cursor: &mut Cursor<'_>, window: &mut [u16; 2]) -> Result<(), Error> {
    if cursor.begin_array()? {
        let mut further = 0_u16;
        let mut nth = 0;
        while cursor.next_element() {
            cursor.integer(window.get_mut(nth).unwrap_or(&mut further))?;
            nth += 1;
        }
    }
    Ok(())
}
