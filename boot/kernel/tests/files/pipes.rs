//! Pipes between programs, and between a program and the agent.

use crate::bed::Bed;
use agent::kernel::{End, Input, OutputStream, Pid, Stdio};
use kernel::errno::Errno;
use kernel::fs::{AgentPipes, AgentStream, OpenFlags, PIPE_BYTES, Readiness};
use kernel::wait::{Stall, WakeKey, Why};

fn bed() -> Bed {
    Bed::mounted(256, vec![])
}

fn attached(bed: &mut Bed) -> AgentPipes {
    let stdio = Stdio {
        stdin: End::Pipe,
        stdout: End::Pipe,
        stderr: End::Closed,
    };
    let table = bed.table;
    bed.run(|files, context| Ok(files.attach_stdio(context, table, Pid(7), stdio)?))
        .unwrap()
}

#[test]
fn the_agent_hears_of_output_once_and_of_its_end() {
    let mut bed = bed();
    let stdout = attached(&mut bed).stdout.unwrap();
    assert_eq!(bed.files.pipes.next_ready(), None);
    assert_eq!(bed.write(1, None, b"one").unwrap(), 3);
    assert_eq!(bed.write(1, None, b"two").unwrap(), 3);
    let ready = Some((Pid(7), AgentStream::Output(OutputStream::Stdout)));
    assert_eq!(bed.files.pipes.next_ready(), ready);
    assert_eq!(bed.files.pipes.next_ready(), None);
    let output = bed.files.pipes.peek(&bed.pool, stdout);
    assert_eq!((output.bytes, output.ended), (&b"onetwo"[..], false));
    bed.consume(stdout, 6);
    bed.close(1);
    assert_eq!(bed.files.pipes.next_ready(), ready);
    let output = bed.files.pipes.peek(&bed.pool, stdout);
    assert_eq!((output.bytes, output.ended), (&b""[..], true));
}

#[test]
fn bytes_that_were_written_before_the_end_are_not_lost() {
    let mut bed = bed();
    let stdout = attached(&mut bed).stdout.unwrap();
    bed.write(1, None, b"last words").unwrap();
    bed.close(1);
    let output = bed.files.pipes.peek(&bed.pool, stdout);
    assert_eq!((output.bytes, output.ended), (&b"last words"[..], true));
    bed.consume(stdout, 4);
    let output = bed.files.pipes.peek(&bed.pool, stdout);
    assert_eq!((output.bytes, output.ended), (&b" words"[..], true));
}

#[test]
fn a_table_that_goes_ends_every_stream() {
    let mut bed = bed();
    let pipes = attached(&mut bed);
    let table = bed.table;
    bed.run(|files, context| {
        files.release_table(context, table);
        Ok(())
    })
    .unwrap();
    assert!(bed.files.pipes.peek(&bed.pool, pipes.stdout.unwrap()).ended);
    assert_eq!(bed.offer(pipes.stdin.unwrap(), b"x"), Input::Broken);
    let mut heard = vec![];
    while let Some((_, stream)) = bed.files.pipes.next_ready() {
        heard.push(stream);
    }
    assert!(heard.contains(&AgentStream::Output(OutputStream::Stdout)));
    assert!(heard.contains(&AgentStream::Input));
}

#[test]
fn input_is_taken_up_to_the_capacity_and_asked_for_again() {
    let mut bed = bed();
    let stdin = attached(&mut bed).stdin.unwrap();
    let mut offered = 0;
    while let Input::Took(count) = bed.offer(stdin, &[7; 5000]) {
        offered += count;
        if count < 5000 {
            break;
        }
    }
    assert_eq!(offered, PIPE_BYTES);
    assert_eq!(bed.files.pipes.next_ready(), None);
    assert_eq!(bed.read(0, None, 4096).unwrap(), vec![7; 4096]);
    assert_eq!(
        bed.files.pipes.next_ready(),
        Some((Pid(7), AgentStream::Input))
    );
    assert_eq!(bed.offer(stdin, &[8; 5000]), Input::Took(4096));
    bed.close_agent(stdin);
    let mut rest = 0;
    loop {
        let bytes = bed.read(0, None, 4096).unwrap();
        if bytes.is_empty() {
            break;
        }
        rest += bytes.len();
    }
    assert_eq!(rest, PIPE_BYTES);
}

#[test]
fn a_closed_stream_reads_as_ended_and_breaks_writers() {
    let mut bed = bed();
    attached(&mut bed);
    assert_eq!(bed.write(2, None, b"x"), Err(Errno::EPIPE));
    let (reader, writer) = bed.pipe();
    bed.close(writer);
    assert_eq!(bed.read(reader, None, 10).unwrap(), b"");
    let id = bed.description(reader);
    assert_eq!(bed.files.readiness(id), Readiness::HANG_UP);
}

#[test]
fn small_writes_are_whole_or_wait() {
    let mut bed = bed();
    let (reader, writer) = bed.pipe();
    // One byte less room than an atomic write needs.
    for _ in 0..PIPE_BYTES / 4096 - 1 {
        assert_eq!(bed.write(writer, None, &[1; 4096]).unwrap(), 4096);
    }
    assert_eq!(bed.write(writer, None, &[1; 1]).unwrap(), 1);
    let stall = bed.try_write(writer, &[2; 4096], 4096);
    assert!(matches!(
        stall.map_err(Stall::why),
        Err(Why::Wait(WakeKey::PipeWritable(_)))
    ));
    // A larger one goes in piece by piece.
    assert_eq!(bed.try_write(writer, &[2; 4096], 4097), Ok(4095));
    assert!(bed.try_write(writer, &[3; 1], 1).is_err());
    assert_eq!(bed.read(reader, None, 4096).unwrap().len(), 4096);
    assert_eq!(bed.try_write(writer, &[3; 4096], 4096), Ok(4096));
}

#[test]
fn pipes_cost_no_more_memory_than_the_bytes_in_them() {
    let mut bed = bed();
    let free = bed.pool.available();
    let (reader, writer) = bed.pipe();
    for round in 0..100 {
        bed.write(writer, None, &[round; 1000]).unwrap();
        assert!(free - bed.pool.available() <= 1);
        assert_eq!(bed.read(reader, None, 2000).unwrap(), vec![round; 1000]);
        assert_eq!(bed.pool.available(), free);
    }
    bed.write(writer, None, &[1; 4000]).unwrap();
    bed.close(reader);
    bed.close(writer);
    assert_eq!(bed.pool.available(), free);
}

#[test]
fn descriptors_end_at_the_limit() {
    let mut bed = bed();
    let table = bed.table;
    bed.files.table_mut(table).unwrap().set_limit(16);
    let mut opened = vec![];
    let failure = loop {
        match bed.open("/dev/null", OpenFlags::RDWR) {
            Ok(fd) => opened.push(fd),
            Err(errno) => break errno,
        }
    };
    assert_eq!((failure, opened.len()), (Errno::EMFILE, 16));
    assert_eq!(bed.open("/tmp/x", OpenFlags::CREAT), Err(Errno::EMFILE));
    assert_eq!(bed.stat("/tmp/x"), Err(Errno::ENOENT));
    bed.close(3);
    assert_eq!(bed.open("/dev/null", OpenFlags::RDWR), Ok(3));
}

#[test]
fn a_full_page_cache_makes_room_for_pipes() {
    let content = crate::bed::pattern(3_000_000);
    let disk = crate::bed::Disk::new(crate::bed::image(8, &["-b", "4096"], |root| {
        std::fs::write(root.join("big"), &content).unwrap();
    }));
    let mut bed = Bed::mounted(256, vec![disk]);
    bed.read_all("/big").unwrap();
    let stdin = attached(&mut bed).stdin.unwrap();
    let (_, writer) = bed.pipe();
    // Whatever the cache left free is taken by somebody else.
    let mut taken = vec![];
    while let Ok(frame) = bed.pool.take() {
        taken.push(frame);
    }
    assert_eq!(bed.offer(stdin, &[1; 5000]), Input::Took(5000));
    assert_eq!(bed.write(writer, None, &[2; 4096]).unwrap(), 4096);
    for frame in taken {
        bed.pool.release(frame);
    }
}
