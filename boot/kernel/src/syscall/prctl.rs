//! prctl(2): names, what ends with a parent or is taken over from one, privileges, and what can be answered truthfully
//! without being done.

use super::{Call, Outcome, capability};
use crate::capability::Secure;
use crate::errno::Errno;
use crate::system::System;
use crate::task::TaskId;
use agent::kernel::Signal;
use hal::block::Block;

/// Options of linux/prctl.h.
const SET_PARENT_DEATH_SIGNAL: i32 = 1;
const GET_PARENT_DEATH_SIGNAL: i32 = 2;
const GET_DUMPABLE: i32 = 3;
const SET_DUMPABLE: i32 = 4;
const GET_KEEP_CAPABILITIES: i32 = 7;
const SET_KEEP_CAPABILITIES: i32 = 8;
const SET_NAME: i32 = 15;
const GET_NAME: i32 = 16;
const GET_SECCOMP: i32 = 21;
const READ_BOUNDS: i32 = 23;
const DROP_BOUND: i32 = 24;
const GET_TIME_STAMP_COUNTER: i32 = 25;
const GET_SECURE_BITS: i32 = 27;
const SET_SECURE_BITS: i32 = 28;
const SET_TIMER_SLACK: i32 = 29;
const GET_TIMER_SLACK: i32 = 30;
const SET_SUBREAPER: i32 = 36;
const GET_SUBREAPER: i32 = 37;
const SET_NO_NEW_PRIVILEGES: i32 = 38;
const GET_NO_NEW_PRIVILEGES: i32 = 39;
const GET_TID_ADDRESS: i32 = 40;
const GET_HUGE_PAGES_DISABLED: i32 = 42;
const AMBIENT: i32 = 47;

/// Bytes of a task's name with its NUL.
pub(crate) const NAME_BYTES: usize = 16;

/// prctl(2).
pub(super) fn prctl<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let value = call.number(1);
    let has_more = call.arguments[2..5].iter().any(|&argument| argument != 0);
    match call.int(0) {
        SET_NAME => set_name(system, call),
        GET_NAME => {
            let mut bytes = [0; NAME_BYTES];
            let name = system.task_mut(call.task)?.name.as_bytes();
            bytes[..name.len()].copy_from_slice(name);
            store(system, call, &bytes)
        }
        GET_DUMPABLE => Ok(u64::from(!system.identity(call.process)?.is_secret)),
        SET_DUMPABLE if value <= 1 => {
            system.identity_mut(call.process)?.is_secret = value == 0;
            Ok(0)
        }
        SET_NO_NEW_PRIVILEGES if value == 1 && !has_more => {
            system.identity_mut(call.process)?.no_new_privileges = true;
            Ok(0)
        }
        GET_NO_NEW_PRIVILEGES if value == 0 && !has_more => {
            let identity = system.identity(call.process)?;
            Ok(u64::from(identity.no_new_privileges))
        }
        SET_PARENT_DEATH_SIGNAL if value <= 64 => {
            let signal = Signal::from_number(call.int(1));
            system.process_mut(call.process)?.kin.death_signal = signal;
            Ok(0)
        }
        GET_PARENT_DEATH_SIGNAL => {
            let signal = system.process(call.process)?.kin.death_signal;
            let number = signal.map_or(0, |signal| u32::from(signal.number()));
            store(system, call, &number.to_le_bytes())
        }
        SET_SUBREAPER => {
            system.process_mut(call.process)?.kin.is_subreaper = value != 0;
            Ok(0)
        }
        GET_SUBREAPER => {
            let is_subreaper = system.process(call.process)?.kin.is_subreaper;
            store(system, call, &u32::from(is_subreaper).to_le_bytes())
        }
        READ_BOUNDS => capability::read_bound(system, call),
        DROP_BOUND => capability::drop_bound(system, call),
        AMBIENT => capability::ambient(system, call),
        GET_KEEP_CAPABILITIES => Ok(capability::secure(system, call, Secure::KEEP)?.min(1)),
        SET_KEEP_CAPABILITIES => capability::keep(system, call),
        GET_SECURE_BITS => capability::secure(system, call, !Secure::empty()),
        SET_SECURE_BITS => capability::set_secure(system, call),
        GET_SECCOMP => Ok(0),
        GET_HUGE_PAGES_DISABLED if value == 0 && !has_more => Ok(0),
        // It can be read by everybody (`PR_TSC_ENABLE`).
        GET_TIME_STAMP_COUNTER => store(system, call, &1_u32.to_le_bytes()),
        // Timers are as exact as they can be.
        GET_TIMER_SLACK => Ok(1),
        SET_TIMER_SLACK => Ok(0),
        GET_TID_ADDRESS => {
            let at = system.task_mut(call.task)?.clear_tid;
            store(system, call, &at.0.to_le_bytes())
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

fn store<B: Block>(system: &mut System<B>, call: &Call, bytes: &[u8]) -> Outcome {
    system.write_user(call.space, call.address(1), bytes)?;
    Ok(0)
}

/// Names the task that calls; the first one's name is its process's.
fn set_name<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    let mut bytes = [0; NAME_BYTES - 1];
    for (nth, byte) in bytes.iter_mut().enumerate() {
        let mut one = [0];
        let at = call.address(1).offset(nth as u64)?;
        system.read_user(call.space, at, &mut one)?;
        if one[0] == 0 {
            break;
        }
        *byte = one[0];
    }
    system.name_task(call.task, &bytes)?;
    Ok(0)
}

impl<B: Block> System<B> {
    /// Names a task by at most fifteen bytes, up to a NUL; the first one's name is its process's.
    ///
    /// # Errors
    ///
    /// ESRCH when it is gone.
    pub(crate) fn name_task(&mut self, id: TaskId, bytes: &[u8]) -> Result<(), Errno> {
        let length = bytes.iter().position(|&byte| byte == 0);
        let bytes = &bytes[..length.unwrap_or(bytes.len())];
        let mut name = heapless::String::new();
        for chunk in bytes.utf8_chunks() {
            // A name of fifteen bytes fits; a mark for a bad byte that does not is left out.
            let _ = name.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                let _ = name.push('?');
            }
        }
        let owner = self.task_mut(id)?.process;
        let process = self.process_mut(owner)?;
        if process.leader == Some(id) {
            process.name.clone_from(&name);
        }
        self.task_mut(id)?.name = name;
        Ok(())
    }
}
