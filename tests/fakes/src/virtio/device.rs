//! The device's side of the mock: it walks the driver's virtqueues, answers, and lies when it is told to.

use super::chain::{Chain, DESCRIPTOR_BYTES, read, write};
use super::dma::assert_ring;
use super::transport::MockTransport;
use crate::alloc::uncounted;
use std::cell::RefCell;
use std::rc::Rc;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus};

/// `VIRTIO_F_EVENT_IDX` and `VIRTIO_F_VERSION_1` (virtio 1.2 §6).
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

/// "No interrupt, please" in the flags of the available ring (virtio 1.2 §2.7.6).
const NO_INTERRUPT: u16 = 1;

/// What a device is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The device's type.
    pub kind: DeviceType,
    /// The features it offers.
    pub features: u64,
    /// How many queues it has.
    pub queues: u16,
    /// The largest size of each of them.
    pub queue_size: u32,
    /// Its configuration space.
    pub config: Vec<u8>,
}

impl Setup {
    /// A device with `queues` queues of at most 128 entries (QEMU's virtio-pci) that offers VERSION_1 and EVENT_IDX.
    #[must_use]
    pub const fn new(kind: DeviceType, queues: u16) -> Self {
        Self {
            kind,
            features: VERSION_1 | EVENT_IDX,
            queues,
            queue_size: 128,
            config: Vec::new(),
        }
    }
}

/// The test's handle of a mock device. Clones are handles of the same device.
#[derive(Clone, Debug)]
pub struct Device {
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) setup: Setup,
    pub(super) accepted: u64,
    pub(super) status: DeviceStatus,
    pub(super) queues: Vec<Queue>,
    pub(super) generation: u32,
    /// Whether the driver has an interrupt to acknowledge.
    pending: bool,
    interrupts: usize,
    lose_kicks: bool,
    lose_interrupts: bool,
    resets: usize,
}

/// One queue as the device sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    size: u16,
    descriptors: u64,
    available: u64,
    used: u64,
    /// How far the device has read the available ring and written the used ring.
    last_available: u16,
    next_used: u16,
    /// The used index when the driver was last considered for an interrupt.
    signalled: u16,
    in_flight: Vec<u16>,
    awake: bool,
    kicks: usize,
}

impl Device {
    /// Makes a device and the transport by which a driver reaches it.
    #[must_use]
    pub fn new(setup: Setup) -> (Self, MockTransport) {
        let state = Rc::new(RefCell::new(State {
            queues: vec![Queue::default(); usize::from(setup.queues)],
            setup,
            accepted: 0,
            status: DeviceStatus::empty(),
            generation: 0,
            pending: false,
            interrupts: 0,
            lose_kicks: false,
            lose_interrupts: false,
            resets: 0,
        }));
        let transport = MockTransport {
            state: Rc::clone(&state),
        };
        (Self { state }, transport)
    }

    /// Takes the next chain the driver offered. `None` while the device sleeps; finding nothing makes it sleep until
    /// the next kick.
    pub fn take(&self, queue: u16) -> Option<Chain> {
        let mut state = self.state.borrow_mut();
        if !state.queues[usize::from(queue)].awake {
            return None;
        }
        uncounted(|| state.take(queue))
    }

    /// Takes the next chain whether or not the driver kicked.
    pub fn take_unasked(&self, queue: u16) -> Option<Chain> {
        uncounted(|| self.state.borrow_mut().take(queue))
    }

    /// Returns how many chains are offered and not taken.
    #[must_use]
    pub fn offered(&self, queue: u16) -> usize {
        usize::from(self.state.borrow().queues[usize::from(queue)].offered())
    }

    /// Returns how many chains were taken and not completed.
    #[must_use]
    pub fn in_flight(&self, queue: u16) -> usize {
        self.state.borrow().queues[usize::from(queue)]
            .in_flight
            .len()
    }

    /// Completes a chain and says that `written` bytes of its writable part were written. Interrupts the driver if it
    /// wants that.
    ///
    /// # Panics
    ///
    /// When `written` is more than fits; [`Device::complete_lying`] is for that.
    pub fn complete(&self, chain: Chain, written: u32) {
        assert!(written as usize <= chain.writable_bytes(), "overrun");
        uncounted(|| {
            let mut state = self.state.borrow_mut();
            let queue = &mut state.queues[usize::from(chain.queue)];
            let Some(place) = queue.in_flight.iter().position(|&head| head == chain.head) else {
                // The device was reset meanwhile; a real one has forgotten the chain, too.
                return;
            };
            queue.in_flight.swap_remove(place);
            queue.push_used(u32::from(chain.head), written);
            state.interrupt(chain.queue);
        });
    }

    /// Writes a used element with any id and length, and moves the used index behind it.
    pub fn complete_lying(&self, queue: u16, id: u32, written: u32) {
        let mut state = self.state.borrow_mut();
        state.queues[usize::from(queue)].push_used(id, written);
        state.interrupt(queue);
    }

    /// Writes the newest used element once more.
    pub fn replay(&self, queue: u16) {
        let mut state = self.state.borrow_mut();
        state.queues[usize::from(queue)].repeat_used();
        state.interrupt(queue);
    }

    /// Moves the used index by `by` without writing used elements.
    pub fn jump_used(&self, queue: u16, by: u16) {
        let mut state = self.state.borrow_mut();
        let ring = &mut state.queues[usize::from(queue)];
        ring.next_used = ring.next_used.wrapping_add(by);
        write(ring.used + 2, ring.next_used);
        state.interrupt(queue);
    }

    /// From now on kicks do (not) reach the device.
    pub fn lose_kicks(&self, lose: bool) {
        self.state.borrow_mut().lose_kicks = lose;
    }

    /// From now on interrupts do (not) reach the driver.
    pub fn lose_interrupts(&self, lose: bool) {
        self.state.borrow_mut().lose_interrupts = lose;
    }

    /// Returns how often the driver kicked this queue, lost kicks included.
    #[must_use]
    pub fn kicks(&self, queue: u16) -> usize {
        self.state.borrow().queues[usize::from(queue)].kicks
    }

    /// Returns how many interrupts reached the driver.
    #[must_use]
    pub fn interrupts(&self) -> usize {
        self.state.borrow().interrupts
    }

    /// Changes a byte range of the configuration space, as a device may at any time.
    pub fn set_config(&self, offset: usize, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        state.setup.config[offset..offset + bytes.len()].copy_from_slice(bytes);
        state.generation += 1;
    }

    /// Returns the status the driver wrote last.
    #[must_use]
    pub fn status(&self) -> DeviceStatus {
        self.state.borrow().status
    }

    /// Returns the features the driver accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.state.borrow().accepted
    }

    /// Returns how often the driver reset the device.
    #[must_use]
    pub fn resets(&self) -> usize {
        self.state.borrow().resets
    }
}

impl State {
    pub(super) fn on_reset(&mut self) {
        let count = self.queues.len();
        self.queues = vec![Queue::default(); count];
        self.accepted = 0;
        self.resets += 1;
        self.pending = false;
    }

    pub(super) fn on_queue_set(
        &mut self,
        queue: u16,
        size: u32,
        rings: u64,
        driver: u64,
        device: u64,
    ) {
        let most = self.setup.queue_size;
        assert!(
            self.status.contains(DeviceStatus::FEATURES_OK),
            "queue {queue} set up before FEATURES_OK (virtio 1.2 §3.1.1)"
        );
        assert!(
            size.is_power_of_two() && size <= most,
            "size {size} of {most}"
        );
        let size = u16::try_from(size).expect("a queue is at most 32768 long");
        let count = usize::from(size);
        assert!(rings.is_multiple_of(16) && driver.is_multiple_of(2) && device.is_multiple_of(4));
        assert_ring(rings, count * DESCRIPTOR_BYTES as usize);
        assert_ring(driver, 6 + 2 * count);
        assert_ring(device, 6 + 8 * count);
        let ring = &mut self.queues[usize::from(queue)];
        assert!(!ring.is_set_up(), "queue {queue} is set up twice");
        *ring = Queue {
            size,
            descriptors: rings,
            available: driver,
            used: device,
            ..Queue::default()
        };
    }

    pub(super) fn on_queue_unset(&mut self, queue: u16) {
        self.queues[usize::from(queue)] = Queue::default();
    }

    pub(super) fn on_kick(&mut self, queue: u16) {
        assert!(
            self.status.contains(DeviceStatus::DRIVER_OK),
            "queue {queue} kicked before DRIVER_OK (virtio 1.2 §3.1.1)"
        );
        let lost = self.lose_kicks;
        let ring = &mut self.queues[usize::from(queue)];
        assert!(
            ring.is_set_up(),
            "kick of queue {queue}, which is not set up"
        );
        ring.kicks += 1;
        ring.awake |= !lost;
    }

    pub(super) fn take_interrupt(&mut self) -> InterruptStatus {
        if std::mem::take(&mut self.pending) {
            InterruptStatus::QUEUE_INTERRUPT
        } else {
            InterruptStatus::empty()
        }
    }

    fn take(&mut self, index: u16) -> Option<Chain> {
        let ring = &mut self.queues[usize::from(index)];
        assert!(ring.is_set_up(), "queue {index} is not set up");
        let waiting = ring.offered();
        assert!(waiting <= ring.size, "queue {index} is overfull: {waiting}");
        if waiting == 0 {
            ring.awake = false;
            ring.want_kick();
            return None;
        }
        let slot = u64::from(ring.last_available % ring.size);
        let head = read::<u16>(ring.available + 4 + 2 * slot);
        let doubled = ring.in_flight.contains(&head);
        assert!(!doubled, "queue {index}: chain {head} is offered twice");
        let chain = Chain::walk(index, ring.descriptors, ring.size, head);
        ring.in_flight.push(head);
        ring.last_available = ring.last_available.wrapping_add(1);
        Some(chain)
    }

    /// Interrupts the driver if it asked for it (virtio 1.2 §2.7.7).
    fn interrupt(&mut self, index: u16) {
        let event_idx = self.accepted & EVENT_IDX != 0;
        let ring = &mut self.queues[usize::from(index)];
        if ring.wants_interrupt(event_idx) && !self.lose_interrupts {
            self.pending = true;
            self.interrupts += 1;
        }
    }
}

impl Queue {
    pub(super) const fn is_set_up(&self) -> bool {
        self.size != 0
    }

    fn offered(&self) -> u16 {
        read::<u16>(self.available + 2).wrapping_sub(self.last_available)
    }

    fn push_used(&mut self, id: u32, written: u32) {
        let slot = u64::from(self.next_used % self.size);
        write(self.used + 4 + 8 * slot, id);
        write(self.used + 8 + 8 * slot, written);
        self.next_used = self.next_used.wrapping_add(1);
        write(self.used + 2, self.next_used);
    }

    fn repeat_used(&mut self) {
        let slot = u64::from(self.next_used.wrapping_sub(1) % self.size);
        let id = read::<u32>(self.used + 4 + 8 * slot);
        let written = read::<u32>(self.used + 8 + 8 * slot);
        self.push_used(id, written);
    }

    /// Asks for a kick with the next chain (virtio 1.2 §2.7.10); the driver looks at it only under EVENT_IDX.
    fn want_kick(&self) {
        let field = self.used + 4 + 8 * u64::from(self.size);
        write(field, self.last_available);
    }

    fn wants_interrupt(&mut self, event_idx: bool) -> bool {
        let old = std::mem::replace(&mut self.signalled, self.next_used);
        if !event_idx {
            return read::<u16>(self.available) & NO_INTERRUPT == 0;
        }
        let event = read::<u16>(self.available + 4 + 2 * u64::from(self.size));
        let behind = self.next_used.wrapping_sub(event).wrapping_sub(1);
        behind < self.next_used.wrapping_sub(old)
    }
}
