//! The disk driver against a virtio device in host memory that misbehaves on command.

mod bench;

use bench::{Bench, at, sector_byte, sector_of};
use hal::block::{Block, ReadError, SECTOR_BYTES, SubmitError};
use hal::clock::Instant;
use hal::limits::{
    BLOCK_DEADLINE_MS, BLOCK_RENOTIFY_MS, MAX_BLOCK_REQUESTS, MAX_REQUEST_FRAMES, PAGE_BYTES,
};
use hal::virtio::init::InitError;
use virtio_drivers::transport::DeviceStatus;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();

#[test]
fn tells_capacity_serial_and_whether_it_may_be_written() {
    let mut bench = Bench::setup().sectors(77).read_only().start();
    assert_eq!(bench.driver.info().sectors, 77);
    assert!(bench.driver.info().read_only);
    assert!(!bench.driver.is_identified());
    bench.answer_identify(b"rootfs\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert!(bench.driver.is_identified());
    assert_eq!(bench.driver.info().serial, "rootfs");
    assert_eq!(bench.driver.next_deadline(), Instant::NEVER);
}

#[test]
fn works_without_a_serial_when_the_device_has_none() {
    let mut bench = Bench::setup().start();
    bench.fail_next(2);
    assert!(bench.poll().is_none());
    assert!(bench.driver.is_identified());
    assert_eq!(bench.driver.info().serial, "");
    bench.read(0, 1);
    bench.serve_all();
    assert_eq!(bench.finish().result, Ok(()));
}

#[test]
fn reads_frames_in_order() {
    let mut bench = Bench::setup().identified();
    let id = bench.read(16, 3);
    bench.serve_all();
    let done = bench.finish();
    assert_eq!((done.id, done.result), (id, Ok(())));
    for (index, frame) in done.buffer.iter().enumerate() {
        let bytes = bench.pool.bytes(frame);
        for (nth, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
            let byte = sector_byte((16 + 8 * index + nth) as u64);
            assert!(sector.iter().all(|&b| b == byte));
        }
    }
    bench.assert_nothing_is_lent();
}

#[test]
fn adjoining_frames_become_one_descriptor() {
    let mut bench = Bench::setup().pieces(4).identified();
    bench.read(0, MAX_REQUEST_FRAMES);
    let chain = bench.device.take(0).expect("offered");
    assert_eq!(chain.writable_parts(), 2);
    let bytes = MAX_REQUEST_FRAMES * PAGE_BYTES + 1;
    assert_eq!(chain.writable_bytes(), bytes);
}

#[test]
fn scattered_frames_become_as_many_descriptors_as_the_device_takes() {
    let mut bench = Bench::setup().pieces(4).identified();
    let buffer = bench.scattered(6);
    bench.submit(8, buffer);
    let chains = bench.take_all();
    let parts: Vec<_> = chains.iter().map(|c| c.writable_parts()).collect();
    assert_eq!(parts, [5, 3]);
}

#[test]
fn a_device_that_announces_nothing_gets_one_descriptor_of_data() {
    let mut bench = Bench::setup().identified();
    let buffer = bench.scattered(3);
    bench.submit(24, buffer);
    let chains = bench.take_all();
    let sectors: Vec<_> = chains.iter().map(sector_of).collect();
    assert_eq!(sectors, [24, 32, 40]);
    assert!(chains.iter().all(|chain| chain.writable_parts() == 2));
    for chain in chains {
        bench.serve(chain);
    }
    assert_eq!(bench.finish().result, Ok(()));
}

#[test]
fn cuts_pieces_at_the_size_the_device_takes() {
    let mut bench = Bench::setup()
        .pieces(16)
        .piece_bytes(2 * 4096 + 1000)
        .identified();
    bench.read(0, 5);
    let chain = bench.device.take(0).expect("offered");
    assert_eq!(chain.writable_parts(), 4);
}

#[test]
fn a_request_of_many_chains_waits_for_room_in_the_queue_and_still_completes() {
    let mut bench = Bench::setup().identified();
    let buffers: Vec<_> = (0..4)
        .map(|_| bench.scattered(MAX_REQUEST_FRAMES))
        .collect();
    let mut ids: Vec<_> = buffers.into_iter().map(|b| bench.submit(0, b)).collect();
    assert!(bench.device.offered(0) < 4 * MAX_REQUEST_FRAMES);
    let mut done = Vec::new();
    while done.len() < 4 {
        bench.serve_all();
        while let Some(completion) = bench.poll() {
            assert_eq!(completion.result, Ok(()));
            done.push(completion.id);
        }
    }
    done.sort();
    ids.sort();
    assert_eq!(done, ids);
    bench.assert_nothing_is_lent();
}

#[test]
fn completes_out_of_order() {
    let mut bench = Bench::setup().identified();
    let mut ids: Vec<_> = (0..3).map(|n| bench.read(n * 8, 1)).collect();
    for chain in bench.take_all().into_iter().rev() {
        bench.serve(chain);
        let done = bench.finish();
        assert_eq!((Some(done.id), done.result), (ids.pop(), Ok(())));
    }
}

#[test]
fn refuses_a_request_beyond_the_limit_and_takes_it_after_a_completion() {
    let mut bench = Bench::setup().identified();
    for _ in 0..MAX_BLOCK_REQUESTS {
        bench.read(0, 1);
    }
    let buffer = bench.frames(1);
    let (buffer, error) = bench.try_submit(0, buffer).expect_err("full");
    assert_eq!((error, buffer.len()), (SubmitError::Full, 1));
    bench.serve_all();
    assert_eq!(bench.finish().result, Ok(()));
    assert!(bench.try_submit(0, buffer).is_ok());
}

#[test]
fn refuses_requests_outside_the_disk_and_shared_frames() {
    let mut bench = Bench::setup().sectors(12).identified();
    for (sector, frames) in [(0, 0), (12, 1), (4, 2), (u64::MAX, 1)] {
        let buffer = bench.frames(frames);
        let refused = bench.try_submit(sector, buffer).expect_err("out of range");
        assert_eq!(refused.1, SubmitError::OutOfRange, "{sector} {frames}");
    }
    let buffer = bench.frames(1);
    let _second = bench.pool.share(buffer[0].by_ref()).expect("shared");
    let refused = bench.try_submit(0, buffer).expect_err("shared");
    assert_eq!(refused.1, SubmitError::Shared);
}

#[test]
fn what_lies_behind_the_end_of_the_disk_reads_as_zeroes() {
    let mut bench = Bench::setup().sectors(11).identified();
    let buffer = bench.frames(2);
    for frame in &buffer {
        bench.pool.bytes_mut(frame).fill(0xee);
    }
    bench.submit(0, buffer);
    let chain = bench.device.take(0).expect("offered");
    assert_eq!(chain.writable_bytes(), 11 * SECTOR_BYTES + 1);
    bench.serve(chain);
    let done = bench.finish();
    let last = bench.pool.bytes(&done.buffer[1]);
    assert!(last[3 * SECTOR_BYTES..].iter().all(|&byte| byte == 0));
    assert_eq!(last[2 * SECTOR_BYTES], sector_byte(10));
}

#[test]
fn a_failed_request_fails_alone() {
    let mut bench = Bench::setup().identified();
    for (status, error) in [
        (1, ReadError::Io),
        (2, ReadError::Unsupported),
        (3, ReadError::Unsupported),
        (0xfe, ReadError::Unsupported),
    ] {
        bench.read(0, 1);
        bench.fail_next(status);
        let done = bench.finish();
        assert_eq!((done.result, done.buffer.len()), (Err(error), 1));
    }
    bench.read(0, 1);
    bench.serve_all();
    assert_eq!(bench.finish().result, Ok(()));
}

#[test]
fn one_failed_chain_fails_its_request_after_the_others_came_back() {
    let mut bench = Bench::setup().identified();
    let buffer = bench.scattered(3);
    bench.submit(0, buffer);
    bench.fail_next(1);
    assert!(bench.poll().is_none());
    bench.serve_all();
    let done = bench.finish();
    assert_eq!((done.result, done.buffer.len()), (Err(ReadError::Io), 3));
    bench.assert_nothing_is_lent();
}

/// What a lying device does while two requests of a frame are in flight.
type Lie = fn(&Bench);

const LIES: [(&str, Lie); 9] = [
    ("an id out of range", |bench| {
        bench.device.complete_lying(0, 64, 4097);
    }),
    ("the largest id", |bench| {
        bench.device.complete_lying(0, 0xffff, 4097);
    }),
    ("an id that is not in flight", |bench| {
        bench.device.complete_lying(0, 60, 4097);
    }),
    ("an id inside a chain", |bench| {
        let chain = bench.device.take(0).expect("offered");
        let inside = u32::from(chain.head()) + 1;
        bench.device.complete_lying(0, inside, 4097);
    }),
    ("the used index jumps", |bench| {
        bench.device.jump_used(0, 1000);
    }),
    ("the used index jumps back", |bench| {
        bench.device.jump_used(0, u16::MAX);
    }),
    ("more written than there is room for", |bench| {
        let chain = bench.device.take(0).expect("offered");
        bench.device.complete_lying(0, chain.head().into(), 4098);
    }),
    ("success with too little written", |bench| {
        let mut chain = bench.device.take(0).expect("offered");
        chain.write(4096, &[0]);
        bench.device.complete(chain, 4095);
    }),
    ("used without a status", |bench| {
        let chain = bench.device.take(0).expect("offered");
        bench.device.complete(chain, 4097);
    }),
];

#[test]
fn shuts_off_a_device_that_lies_and_gives_the_frames_back() {
    for (name, lie) in LIES {
        on_its_own_thread(move || assert_lie_is_caught(name, lie));
    }
}

/// Runs a case whose device keeps its buffers for ever; the fake knows them by thread.
fn on_its_own_thread(case: impl FnOnce() + Send + 'static) {
    let finished = std::thread::spawn(case).join();
    if let Err(panic) = finished {
        std::panic::resume_unwind(panic);
    }
}

fn assert_lie_is_caught(name: &str, lie: Lie) {
    let mut bench = Bench::setup().identified();
    bench.read(0, 1);
    bench.read(8, 1);
    let resets = bench.device.resets();
    lie(&bench);
    for _ in 0..2 {
        let done = bench.finish();
        assert_eq!(done.result, Err(ReadError::Broken), "{name}");
        assert_eq!(done.buffer.len(), 1, "{name}");
    }
    assert_eq!(bench.device.resets(), resets + 1, "{name}");
    assert!(bench.device.status().is_empty(), "{name}");
    let buffer = bench.frames(1);
    let refused = bench.try_submit(0, buffer).expect_err(name);
    assert_eq!(refused.1, SubmitError::Dead, "{name}");
    assert_eq!(bench.driver.next_deadline(), Instant::NEVER, "{name}");
    assert!(bench.poll().is_none(), "{name}");
}

#[test]
fn shuts_off_a_device_that_repeats_an_id() {
    let mut bench = Bench::setup().identified();
    bench.read(0, 1);
    bench.read(8, 1);
    let chain = bench.device.take(0).expect("offered");
    bench.serve(chain);
    bench.device.replay(0);
    assert_eq!(bench.finish().result, Ok(()));
    assert_eq!(bench.finish().result, Err(ReadError::Broken));
}

#[test]
fn survives_lies_while_nothing_is_asked() {
    for id in [0, 1, 63, 64, u32::MAX] {
        let mut bench = Bench::setup().identified();
        bench.device.complete_lying(0, id, 0);
        assert!(bench.poll().is_none());
        let buffer = bench.frames(1);
        let refused = bench.try_submit(0, buffer).expect_err("dead");
        assert_eq!(refused.1, SubmitError::Dead);
    }
}

#[test]
fn survives_lies_about_the_serial_number() {
    let mut bench = Bench::setup().start();
    let chain = bench.device.take(0).expect("offered");
    bench.device.complete_lying(0, chain.head().into(), 22);
    assert!(bench.poll().is_none());
    assert!(bench.driver.is_identified());
    assert_eq!(bench.driver.info().serial, "");
}

#[test]
fn finds_completions_whose_interrupt_was_lost() {
    let mut bench = Bench::setup().identified();
    bench.device.lose_interrupts(true);
    bench.read(0, 1);
    bench.serve_all();
    assert!(bench.driver.next_deadline() <= at(BLOCK_RENOTIFY_MS));
    assert_eq!(bench.finish().result, Ok(()));
}

#[test]
fn repeats_a_lost_notification_with_growing_gaps() {
    let mut bench = Bench::setup().identified();
    bench.device.lose_kicks(true);
    let start = bench.device.kicks(0);
    bench.read(0, 1);
    let mut gaps = Vec::new();
    let mut now = Instant::ZERO;
    while gaps.len() < 8 {
        let next = bench.driver.next_deadline();
        gaps.push(next.since(now).as_millis());
        now = next;
        assert!(bench.poll_at(now).is_none());
        assert_eq!(bench.device.kicks(0), start + 1 + gaps.len());
    }
    assert_eq!(gaps, [4, 8, 16, 32, 64, 128, 128, 128]);
    bench.device.lose_kicks(false);
    now = bench.driver.next_deadline();
    assert!(bench.poll_at(now).is_none());
    bench.serve_all();
    assert_eq!(bench.poll_at(now).expect("served").result, Ok(()));
}

#[test]
fn does_not_notify_before_the_gap_is_over() {
    let mut bench = Bench::setup().identified();
    bench.read(0, 1);
    let kicks = bench.device.kicks(0);
    assert!(bench.poll_at(at(BLOCK_RENOTIFY_MS - 1)).is_none());
    assert_eq!(bench.device.kicks(0), kicks);
    assert!(bench.poll_at(at(BLOCK_RENOTIFY_MS)).is_none());
    assert_eq!(bench.device.kicks(0), kicks + 1);
}

#[test]
fn gives_up_on_a_silent_device_at_the_deadline_and_not_before() {
    let mut bench = Bench::setup().identified();
    bench.read(0, 2);
    let chain = bench.device.take(0).expect("offered");
    assert!(bench.poll_at(at(BLOCK_DEADLINE_MS - 1)).is_none());
    let done = bench.poll_at(at(BLOCK_DEADLINE_MS)).expect("given up");
    assert_eq!(done.result, Err(ReadError::TimedOut));
    assert_eq!(done.buffer.len(), 2);
    assert!(bench.device.status().is_empty());
    bench.device.complete(chain, 0);
    assert!(bench.poll().is_none());
}

#[test]
fn gives_up_on_a_device_that_never_tells_its_serial_number() {
    let mut bench = Bench::setup().start();
    assert!(bench.poll_at(at(BLOCK_DEADLINE_MS)).is_none());
    assert!(bench.driver.is_identified());
    let buffer = bench.frames(1);
    assert!(bench.try_submit(0, buffer).is_err());
}

#[test]
fn notices_a_device_that_fell_out_of_operation() {
    let needs_reset = DeviceStatus::DRIVER_OK | DeviceStatus::DEVICE_NEEDS_RESET;
    for status in [DeviceStatus::FAILED, needs_reset] {
        on_its_own_thread(move || {
            let mut bench = Bench::setup().identified();
            bench.read(0, 1);
            bench.quirks.report_status(status);
            let done = bench.poll_at(at(BLOCK_RENOTIFY_MS)).expect("shut off");
            assert_eq!(done.result, Err(ReadError::Broken));
        });
    }
}

/// A card that is pulled without a word (PCI Express Base 4.0, 6.7.2): its registers read as ones, whatever is written.
#[test]
fn a_pulled_device_fails_all_it_was_asked_at_the_next_look_and_takes_nothing_more() {
    let mut bench = Bench::setup().identified();
    for sector in 0..3 {
        bench.read(sector, 1);
    }
    bench
        .quirks
        .report_status(DeviceStatus::from_bits_retain(u32::MAX));
    assert!(bench.poll_at(at(BLOCK_RENOTIFY_MS - 1)).is_none());
    for _ in 0..3 {
        let done = bench.poll_at(at(BLOCK_RENOTIFY_MS)).expect("shut off");
        assert_eq!(done.result, Err(ReadError::Broken));
        assert!(done.buffer.is_empty(), "it did not take the reset");
    }
    assert!(bench.poll_at(at(BLOCK_DEADLINE_MS)).is_none());
    assert!(bench.driver.is_dead());
    let buffer = bench.frames(1);
    let (_, error) = bench.try_submit(0, buffer).expect_err("it is gone");
    assert_eq!(error, SubmitError::Dead);
}

#[test]
fn keeps_frames_that_a_device_may_still_write_to() {
    let mut bench = Bench::setup().identified();
    bench.read(0, 1);
    bench.quirks.report_status(DeviceStatus::DRIVER_OK);
    let done = bench.poll_at(at(BLOCK_DEADLINE_MS)).expect("given up");
    assert_eq!(done.result, Err(ReadError::TimedOut));
    assert!(done.buffer.is_empty());
}

#[test]
fn acknowledges_once_after_the_last_completion_was_taken() {
    let mut bench = Bench::setup().identified();
    let before = bench.quirks.acknowledgements();
    bench.read(0, 1);
    assert!(bench.poll().is_none());
    assert_eq!(bench.quirks.acknowledgements(), before);
    bench.serve_all();
    assert_eq!(bench.finish().result, Ok(()));
    assert!(bench.poll().is_none());
    assert!(bench.poll().is_none());
    assert_eq!(bench.quirks.acknowledgements(), before + 1);
}

#[test]
fn does_not_start_on_devices_that_do_not_play_along() {
    let error = |setup: bench::Settings| setup.try_start().err();
    let draft = Bench::setup().features(0);
    assert_eq!(error(draft), Some(InitError::NotModern));
    let small = Bench::setup().queue_size(32);
    assert_eq!(error(small), Some(InitError::BadQueue { queue: 0 }));
    let mute = Bench::setup().config(&[0; 4]);
    assert_eq!(error(mute), Some(InitError::BadConfiguration));
    let tiny = Bench::setup().piece_bytes(4095);
    assert_eq!(error(tiny), Some(InitError::BadConfiguration));
    let stuck = Bench::setup().stuck_at(DeviceStatus::DRIVER_OK);
    assert_eq!(error(stuck), Some(InitError::NoReset));
    let picky = Bench::setup().stuck_at(DeviceStatus::empty());
    assert_eq!(error(picky), Some(InitError::FeaturesRefused));
}

#[test]
fn leaves_a_device_that_does_not_start_in_status_failed() {
    let (device, result) = Bench::setup().queue_size(32).start_with_device();
    assert!(result.is_err());
    assert!(device.status().contains(DeviceStatus::FAILED));
}

#[test]
fn starts_on_the_smallest_queue_and_piece_that_do() {
    assert!(Bench::setup().queue_size(64).try_start().is_ok());
    assert!(Bench::setup().piece_bytes(4096).try_start().is_ok());
}

#[test]
fn calls_no_allocator_from_submission_to_completion() {
    let mut bench = Bench::setup().identified();
    let buffer = bench.scattered(MAX_REQUEST_FRAMES);
    let before = fakes::alloc::calls();
    bench.submit(0, buffer);
    assert!(bench.poll().is_none());
    assert_eq!(fakes::alloc::calls(), before);
    bench.serve_all();
    let before = fakes::alloc::calls();
    assert_eq!(bench.finish().result, Ok(()));
    assert_eq!(fakes::alloc::calls(), before);
}
