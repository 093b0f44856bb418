//! A disk driver, its device, and a pool of frames.

use fakes::memory::frame_pool;
use fakes::virtio::{Chain, Device, MockHal, MockTransport, Setup, lent_buffers};
use hal::block::{Block, Buffer, Completion, RequestId, SECTOR_BYTES, SubmitError};
use hal::clock::Instant;
use hal::frame::FramePool;
use hal::virtio::block::VirtioBlock;
use hal::virtio::init::InitError;
use std::cell::Cell;
use std::rc::Rc;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result as TransportResult};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const VERSION_1: u64 = 1 << 32;
const SIZE_MAX: u64 = 1 << 1;
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;

/// Type of a request that asks for the serial number (virtio 1.2 §5.2.6).
const GET_ID: u32 = 8;

pub(crate) struct Bench {
    pub(crate) driver: VirtioBlock<MockHal, Quirky>,
    pub(crate) device: Device,
    pub(crate) quirks: Quirks,
    pub(crate) pool: FramePool,
}

/// What the device is like.
pub(crate) struct Settings {
    setup: Setup,
    stuck_at: Option<DeviceStatus>,
}

/// What the transport does beside what the device does.
#[derive(Clone, Default)]
pub(crate) struct Quirks {
    status: Rc<Cell<Option<DeviceStatus>>>,
    acknowledgements: Rc<Cell<usize>>,
}

/// A transport whose status register lies on command.
pub(crate) struct Quirky {
    inner: MockTransport,
    quirks: Quirks,
}

/// Returns the moment `millis` ms after the driver was started.
pub(crate) fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// Returns the byte that the disk's sector is full of.
pub(crate) fn sector_byte(sector: u64) -> u8 {
    (sector as u8).wrapping_mul(7).wrapping_add(1)
}

/// Returns the sector a chain asks for.
pub(crate) fn sector_of(chain: &Chain) -> u64 {
    u64::from_le_bytes(chain.readable()[8..16].try_into().expect("eight bytes"))
}

impl Settings {
    pub(crate) fn sectors(mut self, sectors: u64) -> Self {
        self.setup.config[..8].copy_from_slice(&sectors.to_le_bytes());
        self
    }

    pub(crate) fn read_only(mut self) -> Self {
        self.setup.features |= READ_ONLY;
        self
    }

    pub(crate) fn pieces(mut self, pieces: u32) -> Self {
        self.setup.features |= SEG_MAX;
        self.setup.config[12..16].copy_from_slice(&pieces.to_le_bytes());
        self
    }

    pub(crate) fn piece_bytes(mut self, bytes: u32) -> Self {
        self.setup.features |= SIZE_MAX;
        self.setup.config[8..12].copy_from_slice(&bytes.to_le_bytes());
        self
    }

    pub(crate) fn features(mut self, features: u64) -> Self {
        self.setup.features = features;
        self
    }

    pub(crate) fn queue_size(mut self, size: u32) -> Self {
        self.setup.queue_size = size;
        self
    }

    pub(crate) fn config(mut self, bytes: &[u8]) -> Self {
        self.setup.config = bytes.to_vec();
        self
    }

    /// The status register always says this.
    pub(crate) fn stuck_at(mut self, status: DeviceStatus) -> Self {
        self.stuck_at = Some(status);
        self
    }

    pub(crate) fn start_with_device(self) -> (Device, Result<Bench, InitError>) {
        let (device, inner) = Device::new(self.setup);
        let quirks = Quirks::default();
        quirks.status.set(self.stuck_at);
        let transport = Quirky {
            inner,
            quirks: quirks.clone(),
        };
        let started = VirtioBlock::start(transport, Instant::ZERO);
        let bench = started.map(|driver| Bench {
            driver,
            device: device.clone(),
            quirks,
            pool: frame_pool(256),
        });
        (device, bench)
    }

    pub(crate) fn try_start(self) -> Result<Bench, InitError> {
        self.start_with_device().1
    }

    pub(crate) fn start(self) -> Bench {
        self.try_start().expect("the device plays along")
    }

    /// Starts the driver and answers its question for the serial number.
    pub(crate) fn identified(self) -> Bench {
        let mut bench = self.start();
        bench.answer_identify(&[0; 20]);
        bench
    }
}

impl Bench {
    /// A disk of 1 MiB that announces no limits.
    pub(crate) fn setup() -> Settings {
        let setup = Setup {
            features: VERSION_1,
            config: vec![0; 64],
            ..Setup::new(DeviceType::Block, 1)
        };
        let settings = Settings {
            setup,
            stuck_at: None,
        };
        settings.sectors(2048)
    }

    pub(crate) fn frames(&mut self, count: usize) -> Buffer {
        (0..count)
            .map(|_| self.pool.take().expect("frames are left"))
            .collect()
    }

    /// Takes frames none of which follows another in memory.
    pub(crate) fn scattered(&mut self, count: usize) -> Buffer {
        let mut buffer = Buffer::new();
        for _ in 0..count {
            let frame = self.pool.take().expect("frames are left");
            buffer.push(frame).expect("room");
            // A hole; the frame is lost to the test.
            let _hole = self.pool.take().expect("frames are left");
        }
        buffer
    }

    #[expect(
        clippy::result_large_err,
        reason = "frames are handed over by value, both ways, as in the trait"
    )]
    pub(crate) fn try_submit(
        &mut self,
        sector: u64,
        buffer: Buffer,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        self.driver
            .submit_read(&mut self.pool, sector, buffer, Instant::ZERO)
    }

    pub(crate) fn submit(&mut self, sector: u64, buffer: Buffer) -> RequestId {
        self.try_submit(sector, buffer).expect("accepted")
    }

    pub(crate) fn read(&mut self, sector: u64, frames: usize) -> RequestId {
        let buffer = self.frames(frames);
        self.submit(sector, buffer)
    }

    pub(crate) fn poll(&mut self) -> Option<Completion> {
        self.poll_at(Instant::ZERO)
    }

    pub(crate) fn poll_at(&mut self, now: Instant) -> Option<Completion> {
        self.driver.poll(&mut self.pool, now)
    }

    pub(crate) fn finish(&mut self) -> Completion {
        self.poll().expect("a request is finished")
    }

    /// Takes every chain that the driver offers now.
    pub(crate) fn take_all(&mut self) -> Vec<Chain> {
        std::iter::from_fn(|| self.device.take(0)).collect()
    }

    /// Answers a chain as a healthy disk does.
    pub(crate) fn serve(&self, mut chain: Chain) {
        let data = chain.writable_bytes() - 1;
        let first = sector_of(&chain);
        let bytes: Vec<u8> = (0..data)
            .map(|byte| sector_byte(first + (byte / SECTOR_BYTES) as u64))
            .collect();
        chain.write(0, &bytes);
        chain.write(data, &[0]);
        self.device.complete(chain, data as u32 + 1);
    }

    pub(crate) fn serve_all(&mut self) {
        while let Some(chain) = self.device.take(0) {
            self.serve(chain);
        }
    }

    /// Answers the next chain with a status and no data.
    pub(crate) fn fail_next(&mut self, status: u8) {
        let mut chain = self.device.take(0).expect("a chain is offered");
        let at = chain.writable_bytes() - 1;
        chain.write(at, &[status]);
        self.device.complete(chain, 1);
    }

    pub(crate) fn answer_identify(&mut self, serial: &[u8; 20]) {
        let mut chain = self.device.take(0).expect("the driver asks");
        assert_eq!(chain.readable()[..4], GET_ID.to_le_bytes());
        chain.write(0, serial);
        chain.write(20, &[0]);
        self.device.complete(chain, 21);
        assert!(self.poll().is_none());
    }

    pub(crate) fn assert_nothing_is_lent(&self) {
        assert_eq!(lent_buffers(), 0, "buffers are still lent to the device");
    }
}

impl Quirks {
    /// From now on the status register says this whatever is written.
    pub(crate) fn report_status(&self, status: DeviceStatus) {
        self.status.set(Some(status));
    }

    /// Returns how often the driver acknowledged interrupts.
    pub(crate) fn acknowledgements(&self) -> usize {
        self.acknowledgements.get()
    }
}

impl Transport for Quirky {
    fn device_type(&self) -> DeviceType {
        self.inner.device_type()
    }

    fn read_device_features(&mut self) -> u64 {
        self.inner.read_device_features()
    }

    fn write_driver_features(&mut self, features: u64) {
        self.inner.write_driver_features(features);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.inner.max_queue_size(queue)
    }

    fn notify(&mut self, queue: u16) {
        self.inner.notify(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        self.quirks
            .status
            .get()
            .unwrap_or_else(|| self.inner.get_status())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.inner.set_status(status);
    }

    fn set_guest_page_size(&mut self, bytes: u32) {
        self.inner.set_guest_page_size(bytes);
    }

    fn requires_legacy_layout(&self) -> bool {
        self.inner.requires_legacy_layout()
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver: PhysAddr,
        device: PhysAddr,
    ) {
        self.inner
            .queue_set(queue, size, descriptors, driver, device);
    }

    fn queue_unset(&mut self, queue: u16) {
        self.inner.queue_unset(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.inner.queue_used(queue)
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        let count = &self.quirks.acknowledgements;
        count.set(count.get() + 1);
        self.inner.ack_interrupt()
    }

    fn read_config_generation(&self) -> u32 {
        self.inner.read_config_generation()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> TransportResult<T> {
        self.inner.read_config_space(offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        offset: usize,
        value: T,
    ) -> TransportResult<()> {
        self.inner.write_config_space(offset, value)
    }
}
