//! The mock device itself: that it carries data, and that it notices a driver that breaks the rules.

use fakes::virtio::{Device, MockHal, MockTransport, Setup, lent_buffers};
use hal::virtio::init::negotiate;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceType, Transport};

type Queue = VirtQueue<MockHal, 4>;

const EVENT_IDX: u64 = 1 << 29;

fn device() -> (Device, MockTransport, Queue) {
    let (device, mut transport) = Device::new(Setup::new(DeviceType::Socket, 1));
    negotiate(&mut transport, EVENT_IDX).expect("the mock offers VERSION_1");
    let queue = Queue::new(&mut transport, 0, false, true).expect("4 is less than 128");
    transport.finish_init();
    (device, transport, queue)
}

#[test]
fn carries_a_request_and_its_answer() {
    let (device, mut transport, mut queue) = device();
    let (question, mut answer) = (*b"ping", [0; 6]);
    // SAFETY: both buffers outlive the pop below and are not touched before it.
    let token = unsafe { queue.add(&[&question], &mut [&mut answer]) }.expect("room");
    transport.notify(0);

    let mut chain = device.take(0).expect("kicked");
    assert_eq!(chain.readable(), b"ping");
    chain.write(0, b"pong");
    device.complete(chain, 4);

    assert_eq!(device.interrupts(), 1);
    // SAFETY: the buffers of this token.
    let written = unsafe { queue.pop_used(token, &[&question], &mut [&mut answer]) };
    assert_eq!(written, Ok(4));
    assert_eq!(&answer, b"pong\0\0");
    assert_eq!(lent_buffers(), 0);
}

#[test]
fn sleeps_until_it_is_kicked_and_through_a_lost_kick() {
    let (device, mut transport, mut queue) = device();
    assert!(device.take(0).is_none());
    // SAFETY: a constant is never written.
    unsafe { queue.add(&[b"one"], &mut []) }.expect("room");
    assert!(device.take(0).is_none(), "nobody kicked");
    device.lose_kicks(true);
    transport.notify(0);
    assert!(device.take(0).is_none(), "the kick was lost");
    device.lose_kicks(false);
    transport.notify(0);
    assert!(device.take(0).is_some());
}

#[test]
#[should_panic(expected = "lent already")]
fn notices_a_buffer_that_is_lent_twice() {
    let (_device, _transport, mut queue) = device();
    let buffer = [1; 8];
    // SAFETY: the buffer outlives the test's queue and is not touched.
    unsafe { queue.add(&[&buffer], &mut []) }.expect("room");
    // SAFETY: as above.
    let _second = unsafe { queue.add(&[&buffer[4..]], &mut []) };
}

#[test]
#[should_panic(expected = "before DRIVER_OK")]
fn notices_a_kick_before_the_driver_is_ready() {
    let (_device, mut transport) = Device::new(Setup::new(DeviceType::Socket, 1));
    negotiate(&mut transport, 0).expect("the mock offers VERSION_1");
    let _queue = Queue::new(&mut transport, 0, false, false).expect("4 is less than 128");
    transport.notify(0);
}

#[test]
fn interrupts_once_until_the_driver_has_looked_when_event_idx_is_on() {
    let (device, mut transport, mut queue) = device();
    let bytes = [1_u8, 2, 3];
    for byte in bytes.chunks(1) {
        // SAFETY: the array outlives the test's queue and is never written.
        unsafe { queue.add(&[byte], &mut []) }.expect("room");
        transport.notify(0);
        let chain = device.take(0).expect("kicked");
        device.complete(chain, 0);
    }
    assert_eq!(device.interrupts(), 1);
}
