//! Nothing is allocated after construction.

use crate::bench::{Bench, PORT, pattern};
use embedded_io::{BufRead, Read, ReadReady, Write, WriteReady};
use fakes::alloc::{calls, uncounted};
use fakes::virtio::vsock::{Peer, op};
use hal::clock::Instant;
use hal::vsock::{Purpose, Vsock};

#[test]
fn a_connections_whole_life_calls_no_allocator() {
    let mut bench = Bench::new();
    let chunk = pattern(1 << 16);
    let mut scratch = vec![0; 1 << 16];
    let before = calls();
    assert!(before > 0, "the counting allocator is installed");
    for _ in 0..3 {
        let id = bench
            .guest
            .connect(PORT, Purpose::Input, bench.now, Instant::NEVER)
            .expect("room");
        let mut peer: Peer = uncounted(|| bench.host.accept(1 << 20));
        while bench.guest.poll(bench.now).is_some() {}
        for size in [1, 100, 5000, 1 << 16] {
            uncounted(|| bench.host.send(&peer.data(&chunk[..size])));
            while bench.guest.poll(bench.now).is_some() {}
            let mut stream = bench.guest.stream(id).expect("connected");
            assert_eq!(stream.read_ready(), Ok(true));
            assert!(!stream.fill_buf().expect("bytes").is_empty());
            assert_eq!(stream.read(&mut scratch), Ok(size));
            assert_eq!(stream.write_ready(), Ok(true));
            assert_eq!(stream.write(&chunk[..size]), Ok(size));
            stream.flush().expect("flush never fails");
            uncounted(|| {
                bench
                    .host
                    .all()
                    .iter()
                    .for_each(|packet| peer.on_packet(packet))
            });
            uncounted(|| bench.host.send(&peer.packet(op::CREDIT_REQUEST)));
            while bench.guest.poll(bench.now).is_some() {}
        }
        bench.guest.close(id, Instant::NEVER);
        uncounted(|| bench.host.all());
        uncounted(|| bench.host.send(&peer.rst()));
        bench.wait(5000);
        while bench.guest.poll(bench.now).is_some() {}
        uncounted(|| bench.host.all());
    }
    assert_eq!(calls(), before);
}
