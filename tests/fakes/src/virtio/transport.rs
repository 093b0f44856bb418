//! The driver's side of the mock: a `Transport` whose registers are plain data.

use super::device::State;
use crate::alloc::uncounted;
use std::cell::RefCell;
use std::rc::Rc;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The transport that is given to the driver under test.
#[derive(Debug)]
pub struct MockTransport {
    pub(super) state: Rc<RefCell<State>>,
}

impl Transport for MockTransport {
    fn device_type(&self) -> DeviceType {
        self.state.borrow().setup.kind
    }

    fn read_device_features(&mut self) -> u64 {
        self.state.borrow().setup.features
    }

    fn write_driver_features(&mut self, features: u64) {
        let mut state = self.state.borrow_mut();
        let foreign = features & !state.setup.features;
        assert_eq!(foreign, 0, "features accepted that were not offered");
        state.accepted = features;
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        let state = self.state.borrow();
        if state.queues.len() > usize::from(queue) {
            state.setup.queue_size
        } else {
            0
        }
    }

    fn notify(&mut self, queue: u16) {
        uncounted(|| self.state.borrow_mut().on_kick(queue));
    }

    fn get_status(&self) -> DeviceStatus {
        self.state.borrow().status
    }

    fn set_status(&mut self, status: DeviceStatus) {
        let mut state = self.state.borrow_mut();
        if status.is_empty() {
            uncounted(|| state.on_reset());
        }
        state.status = status;
    }

    fn set_guest_page_size(&mut self, _bytes: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        let mut state = self.state.borrow_mut();
        uncounted(|| state.on_queue_set(queue, size, descriptors, driver_area, device_area));
    }

    fn queue_unset(&mut self, queue: u16) {
        self.state.borrow_mut().on_queue_unset(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.state.borrow().queues[usize::from(queue)].is_set_up()
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.state.borrow_mut().take_interrupt()
    }

    fn read_config_generation(&self) -> u32 {
        self.state.borrow().generation
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let state = self.state.borrow();
        let bytes = state
            .setup
            .config
            .get(offset..offset + size_of::<T>())
            .ok_or(Error::ConfigSpaceTooSmall)?;
        Ok(T::read_from_bytes(bytes).expect("the slice is as long as the value"))
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> Result<()> {
        let mut state = self.state.borrow_mut();
        let bytes = state
            .setup
            .config
            .get_mut(offset..offset + size_of::<T>())
            .ok_or(Error::ConfigSpaceTooSmall)?;
        bytes.copy_from_slice(value.as_bytes());
        Ok(())
    }
}
